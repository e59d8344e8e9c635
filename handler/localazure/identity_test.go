package localazure_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/fault"
	"keyless/handler/localazure"
)

// newIdentity serves an identity endpoint and returns it with its settings.
func newIdentity(t *testing.T) (*localazure.Identity, map[string]string) {
	t.Helper()
	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	i := localazure.NewIdentity(issuer)
	srv := httptest.NewServer(i)
	t.Cleanup(srv.Close)
	return i, i.Env(srv.URL)
}

// askIdentity sends one request and returns the status and the decoded body.
func askIdentity(t *testing.T, env map[string]string, header string, query url.Values) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, env["IDENTITY_ENDPOINT"]+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		req.Header.Set("X-IDENTITY-HEADER", header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func tokenQuery(resource string) url.Values {
	return url.Values{"api-version": {"2019-08-01"}, "resource": {resource}}
}

func TestIdentityGivesToken(t *testing.T) {
	i, env := newIdentity(t)
	i.Lifetime = time.Hour
	const resource = "https://dynamicsessions.io"
	status, body := askIdentity(t, env, env["IDENTITY_HEADER"], tokenQuery(resource))
	if status != http.StatusOK || body["token_type"] != "Bearer" || body["resource"] != resource || body["client_id"] == "" {
		t.Fatalf("got %d %v", status, body)
	}
	expires, err := strconv.ParseInt(body["expires_on"].(string), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(time.Unix(expires, 0)); left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("the token lives %v, want an hour", left)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+body["access_token"].(string))
	if err := i.Issuer.Check(r, resource); err != nil {
		t.Error(err)
	}
	if err := i.Issuer.Check(r, "https://storage.azure.com"); err == nil {
		t.Error("the token is good for another audience")
	}
}

func TestIdentityRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		header string // empty: the right one
		query  url.Values
		status int
	}{
		"wrong header":  {"guess", tokenQuery("https://r"), http.StatusUnauthorized},
		"no resource":   {"", tokenQuery(""), http.StatusBadRequest},
		"other version": {"", url.Values{"api-version": {"2017-09-01"}, "resource": {"https://r"}}, http.StatusBadRequest},
		"no version":    {"", url.Values{"resource": {"https://r"}}, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, env := newIdentity(t)
			header := c.header
			if header == "" {
				header = env["IDENTITY_HEADER"]
			}
			status, body := askIdentity(t, env, header, c.query)
			if status != c.status || body["statusCode"] != float64(c.status) || body["message"] == "" || body["correlationId"] == "" {
				t.Errorf("got %d %v, want %d", status, body, c.status)
			}
		})
	}
	t.Run("no header", func(t *testing.T) {
		_, env := newIdentity(t)
		if status, _ := askIdentity(t, env, "", tokenQuery("https://r")); status != http.StatusUnauthorized {
			t.Errorf("got %d", status)
		}
	})
}

func TestIdentityFaultsAndCounts(t *testing.T) {
	i, env := newIdentity(t)
	i.Faults.Set(localazure.Fault{Status: http.StatusBadRequest, Times: 1})
	for _, want := range []int{http.StatusBadRequest, http.StatusOK} {
		if status, body := askIdentity(t, env, env["IDENTITY_HEADER"], tokenQuery("https://r")); status != want {
			t.Errorf("got %d %v, want %d", status, body, want)
		}
	}
	if n, other := i.Requests("https://r"), i.Requests("https://other"); n != 2 || other != 0 {
		t.Errorf("counted %d and %d, want 2 and 0", n, other)
	}
}

// developer is the credential of somebody who is signed in, or not.
type developer struct {
	token azcore.AccessToken
	err   error
	scope *string // the last one asked for
}

func (d developer) GetToken(_ context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	*d.scope = opts.Scopes[0]
	return d.token, d.err
}

// Where a service is the real one, the developer's token is handed on, or the
// reason why there is none.
func TestIdentityOfRealService(t *testing.T) {
	const resource = "https://cognitiveservices.azure.com"
	expires := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		dev    developer
		status int
		says   string
	}{
		"signed in":  {developer{token: azcore.AccessToken{Token: "real", ExpiresOn: expires}}, http.StatusOK, ""},
		"signed out": {developer{err: fault.New(fault.Misconfigured, "identity_missing", "Run `az login`.")}, http.StatusBadRequest, "Run `az login`."},
		"denied":     {developer{err: fault.New(fault.Denied, "identity_denied", "No.")}, http.StatusForbidden, "No."},
		"down":       {developer{err: fault.New(fault.Unavailable, "identity_unavailable", "Entra ID is down.")}, http.StatusServiceUnavailable, "Entra ID is down."},
	} {
		t.Run(name, func(t *testing.T) {
			i, env := newIdentity(t)
			var scope string
			c.dev.scope = &scope
			i.Real = map[string]azcore.TokenCredential{resource: c.dev}
			status, body := askIdentity(t, env, env["IDENTITY_HEADER"], tokenQuery(resource))
			if status != c.status {
				t.Fatalf("got %d %v", status, body)
			}
			if scope != resource+"/.default" {
				t.Errorf("asked for scope %q", scope)
			}
			if c.status == http.StatusOK {
				if body["access_token"] != "real" || body["expires_on"] != strconv.FormatInt(expires.Unix(), 10) {
					t.Errorf("got %v", body)
				}
			} else if body["message"] != c.says {
				t.Errorf("message is %q, want %q", body["message"], c.says)
			}
			if status, _ := askIdentity(t, env, env["IDENTITY_HEADER"], tokenQuery("https://dynamicsessions.io")); status != http.StatusOK {
				t.Errorf("a service that is not real: got %d", status)
			}
		})
	}
}
