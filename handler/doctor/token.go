package doctor

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// Token is what a token says of itself. Its signature is not checked: that is
// the service's business, and nothing is decided by it here.
type Token struct {
	Audience   string    `json:"audience"`
	ObjectID   string    `json:"object_id,omitempty"` // whom roles are assigned to
	Tenant     string    `json:"tenant,omitempty"`
	AppID      string    `json:"app_id,omitempty"`
	Expires    time.Time `json:"expires"`
	Credential string    `json:"credential,omitempty"` // which of the chain gave it, as far as can be told

	issued   time.Time
	person   bool // of a person, not of an app
	resource string
}

// claims are those of Entra's access tokens that matter here
// (learn.microsoft.com/entra/identity-platform/access-token-claims-reference).
type claims struct {
	Audience string  `json:"aud"`
	ObjectID string  `json:"oid"`
	Tenant   string  `json:"tid"`
	AppID    string  `json:"appid"` // in version 1 tokens
	Party    string  `json:"azp"`   // in version 2 tokens
	Kind     string  `json:"idtyp"` // "app" or "user"; optional
	Scopes   string  `json:"scp"`   // in tokens of persons alone
	Issued   float64 `json:"iat"`   // seconds since 1970
	Expires  float64 `json:"exp"`
	Resource string  `json:"xms_mirid"` // the managed identity's resource id
}

// inspect reads a token's claims. Of a token that is no JWT it knows what was
// asked for.
func inspect(token azcore.AccessToken, scope string) Token {
	t := Token{Audience: strings.TrimSuffix(scope, "/.default"), Expires: token.ExpiresOn.UTC()}
	c, ok := readClaims(token.Token)
	if !ok {
		return t
	}
	t.Audience = cmp.Or(c.Audience, t.Audience)
	t.ObjectID, t.Tenant, t.AppID = c.ObjectID, c.Tenant, cmp.Or(c.AppID, c.Party)
	t.person = c.Kind == "user" || c.Kind == "" && c.Scopes != ""
	t.resource = c.Resource
	if c.Issued > 0 {
		t.issued = time.Unix(int64(c.Issued), 0)
	}
	if c.Expires > 0 {
		t.Expires = time.Unix(int64(c.Expires), 0).UTC()
	}
	return t
}

// readClaims decodes the middle part of a JWT, of three.
func readClaims(token string) (claims, bool) {
	_, rest, _ := strings.Cut(token, ".")
	body, _, ok := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if !ok || err != nil {
		return claims{}, false
	}
	var c claims
	err = json.Unmarshal(raw, &c)
	return c, err == nil
}

// principal returns the principal type for a role assignment.
func (t *Token) principal() string {
	if t.person {
		return "User"
	}
	return "ServicePrincipal"
}
