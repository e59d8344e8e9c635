package localazure

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/fault"
)

// Identity is the identity endpoint that App Service gives each process of an
// app with a managed identity
// (learn.microsoft.com/azure/app-service/overview-managed-identity, "REST
// endpoint reference"). It hands out the issuer's tokens; for resources that
// are real in this run it hands on a developer's. It has one identity and does
// not look at the client_id of a request. It is safe for concurrent use once its
// fields are set.
type Identity struct {
	Issuer *Issuer
	Secret string // what the X-IDENTITY-HEADER of a request must be
	// Lifetime is how long a minted token lives; 0: a managed identity's 24 hours.
	Lifetime time.Duration
	// Real has a credential for each resource whose service is the real one,
	// such as https://cognitiveservices.azure.com.
	Real   map[string]azcore.TokenCredential
	Faults Faults

	mu       sync.Mutex
	requests map[string]int
}

// NewIdentity returns an identity endpoint with a secret of its own.
func NewIdentity(issuer *Issuer) *Identity {
	return &Identity{Issuer: issuer, Secret: rand.Text()}
}

// identityVersion is the only api-version that the endpoint knows.
const identityVersion = "2019-08-01"

// identityPath is where App Service has its endpoint. Any path will do.
const identityPath = "/msi/token"

// Env returns the settings that make a process ask this endpoint, which is
// served at base, for all its tokens.
func (i *Identity) Env(base string) map[string]string {
	return map[string]string{
		"IDENTITY_ENDPOINT":       strings.TrimSuffix(base, "/") + identityPath,
		"IDENTITY_HEADER":         i.Secret,
		"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
	}
}

// Requests returns how many requests for a token of resource have come, with
// whatever result.
func (i *Identity) Requests(resource string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[resource]
}

// ServeHTTP implements [http.Handler].
func (i *Identity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.count(r.FormValue("resource"))
	i.Faults.wrap(http.HandlerFunc(i.serve), identityError).ServeHTTP(w, r)
}

func (i *Identity) count(resource string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.requests == nil {
		i.requests = map[string]int{}
	}
	i.requests[resource]++
}

// serve answers one request. The statuses of its refusals are App Service's as
// far as they are known; the words are ours.
func (i *Identity) serve(w http.ResponseWriter, r *http.Request) {
	resource := r.FormValue("resource")
	switch {
	case r.Method != http.MethodGet:
		refuseToken(w, http.StatusMethodNotAllowed, "Only GET is allowed.")
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("X-IDENTITY-HEADER")), []byte(i.Secret)) == 0:
		refuseToken(w, http.StatusUnauthorized, "The X-IDENTITY-HEADER header is missing or wrong.")
	case r.FormValue("api-version") != identityVersion:
		refuseToken(w, http.StatusBadRequest, "The api-version must be "+identityVersion+".")
	case resource == "":
		refuseToken(w, http.StatusBadRequest, "The resource is missing.")
	default:
		i.answer(w, r, resource)
	}
}

// answer gives a token for resource.
func (i *Identity) answer(w http.ResponseWriter, r *http.Request, resource string) {
	token, err := i.token(r.Context(), resource)
	if err != nil {
		e := fault.From(err)
		refuseToken(w, refusalStatus(e.Kind), e.Message)
		return
	}
	body := map[string]string{
		"access_token": token.Token,
		"expires_on":   strconv.FormatInt(token.ExpiresOn.Unix(), 10),
		"resource":     resource,
		"token_type":   "Bearer",
		"client_id":    localApp,
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body)
}

// refusalStatus returns the status for a developer's credential that failed:
// 400 is what an app without an identity is told, and only 503 is worth a
// client's retry.
func refusalStatus(kind fault.Kind) int {
	switch kind {
	case fault.Denied:
		return http.StatusForbidden
	case fault.Unavailable, fault.Throttled:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// token mints a token, or asks the developer's credential for a real one.
func (i *Identity) token(ctx context.Context, resource string) (azcore.AccessToken, error) {
	if cred, ok := i.Real[resource]; ok {
		return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{resource + "/.default"}})
	}
	lifetime := i.Lifetime
	if lifetime == 0 {
		lifetime = 24 * time.Hour
	}
	expires := time.Now().Add(lifetime)
	token, err := i.Issuer.Mint(resource, lifetime)
	return azcore.AccessToken{Token: token, ExpiresOn: expires}, err
}

// refuseToken answers with status and App Service's error body.
func refuseToken(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(identityRefusal(status, message)))
}

// identityError is the body of a fault. The words for 400 and 500 are App
// Service's: the first is what an app without an identity is told.
func identityError(status int) string {
	switch status {
	case http.StatusBadRequest:
		return identityRefusal(status, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.")
	case http.StatusInternalServerError:
		return identityRefusal(status, "An unexpected error occured while fetching the AAD Token.")
	}
	return identityRefusal(status, http.StatusText(status))
}

// identityRefusal returns an error body as App Service writes it.
func identityRefusal(status int, message string) string {
	body, err := json.Marshal(map[string]any{"statusCode": status, "message": message, "correlationId": rand.Text()})
	if err != nil {
		panic(err) // strings and a number
	}
	return string(body)
}
