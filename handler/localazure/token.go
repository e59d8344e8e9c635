package localazure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issuer makes and checks the tokens of one local run, in Entra's shape and
// signed with a key that lives as long as the process. It is safe for
// concurrent use.
type Issuer struct{ key *ecdsa.PrivateKey }

// NewIssuer returns an issuer with a fresh key.
func NewIssuer() (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the local token key: %w", err)
	}
	return &Issuer{key}, nil
}

// Ids that the tokens of a local run carry. They are made up.
const (
	localTenant = "00000000-0000-4000-8000-000000000001"
	localObject = "00000000-0000-4000-8000-000000000002"
	localApp    = "00000000-0000-4000-8000-000000000003"
)

// Mint returns a token for audience (a resource such as
// https://dynamicsessions.io, without /.default), valid from five minutes ago
// until lifetime from now.
func (i *Issuer) Mint(audience string, lifetime time.Duration) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"aud": audience, "iss": "https://sts.windows.net/" + localTenant + "/",
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(lifetime).Unix(),
		"appid": localApp, "appidacr": "2", "idtyp": "app", "oid": localObject, "sub": localObject,
		"tid": localTenant, "ver": "1.0",
	}).SignedString(i.key)
}

// Check returns nil if r carries a valid bearer token of this issuer for one
// of the audiences. A trailing slash of the audience does not matter.
func (i *Issuer) Check(r *http.Request, audiences ...string) error {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return fmt.Errorf("no bearer token")
	}
	return i.CheckToken(token, audiences...)
}

// CheckToken returns nil if token is a valid one of this issuer for one of the
// audiences, as Check does.
func (i *Issuer) CheckToken(token string, audiences ...string) error {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return &i.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired())
	if err != nil {
		return err
	}
	got, _ := claims["aud"].(string)
	for _, want := range audiences {
		if strings.TrimSuffix(got, "/") == strings.TrimSuffix(want, "/") {
			return nil
		}
	}
	return fmt.Errorf("the token is for %q, want %q", got, audiences)
}
