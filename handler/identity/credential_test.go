package identity_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/golang-jwt/jwt/v5"

	"keyless/handler/fault"
	"keyless/handler/identity"
	"keyless/handler/localazure"
)

const (
	modelScope   = "https://cognitiveservices.azure.com/.default"
	sessionScope = "https://dynamicsessions.io/.default"
)

// clearEnv makes the test's environment that of a laptop.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "IMDS_ENDPOINT", "WEBSITE_SITE_NAME",
		"WEBSITE_RESOURCE_GROUP", "AZURE_TOKEN_CREDENTIALS", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"} {
		t.Setenv(name, "") // so that it is put back
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

// inAzure makes it that of an app in Azure, with an identity endpoint unless
// endpoint is empty.
func inAzure(t *testing.T, endpoint string) {
	t.Helper()
	clearEnv(t)
	t.Setenv("WEBSITE_SITE_NAME", "keyless-app")
	if endpoint != "" {
		t.Setenv("IDENTITY_ENDPOINT", endpoint)
		t.Setenv("IDENTITY_HEADER", "secret")
	}
}

// standIn serves an identity endpoint.
func standIn(t *testing.T) (*localazure.Identity, string) {
	t.Helper()
	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := localazure.NewIdentity(issuer)
	endpoint.Secret = "secret"
	srv := httptest.NewServer(endpoint)
	t.Cleanup(srv.Close)
	return endpoint, srv.URL
}

func newCredential(t *testing.T, cfg identity.Config) azcore.TokenCredential {
	t.Helper()
	cred, err := identity.NewCredential(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func newSource(t *testing.T, cred azcore.TokenCredential) *identity.Source {
	t.Helper()
	s := identity.NewSource(cred, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s
}

func ask(ctx context.Context, cred azcore.TokenCredential, scope string) (azcore.AccessToken, error) {
	return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
}

// In Azure the credential asks the app's identity and nothing else, although
// the setting is missing and a client secret lies about.
func TestPinnedInAzure(t *testing.T) {
	endpoint, url := standIn(t)
	inAzure(t, url)
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "")
	t.Setenv("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000000a")
	t.Setenv("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000000b")
	t.Setenv("AZURE_CLIENT_SECRET", "stray")
	token, err := ask(t.Context(), newCredential(t, identity.Config{}), modelScope)
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token.Token, claims); err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != "https://cognitiveservices.azure.com" {
		t.Errorf("the token is for %v", claims["aud"])
	}
	if left := time.Until(token.ExpiresOn); left < 23*time.Hour || left > 25*time.Hour {
		t.Errorf("the token lives %v, want a day", left)
	}
	if n := endpoint.Requests("https://cognitiveservices.azure.com"); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if got := os.Getenv("AZURE_TOKEN_CREDENTIALS"); got != "ManagedIdentityCredential" {
		t.Errorf("AZURE_TOKEN_CREDENTIALS is %q", got)
	}
}

// Every GetToken is a request, so that a Source that wants a new token gets one.
func TestCredentialDoesNotCache(t *testing.T) {
	endpoint, url := standIn(t)
	inAzure(t, url)
	cred := newCredential(t, identity.Config{})
	for range 3 {
		if _, err := ask(t.Context(), cred, sessionScope); err != nil {
			t.Fatal(err)
		}
	}
	if n := endpoint.Requests("https://dynamicsessions.io"); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestEmptyClientIDIsNone(t *testing.T) {
	_, url := standIn(t)
	inAzure(t, url)
	t.Setenv("AZURE_CLIENT_ID", "")
	if _, err := ask(t.Context(), newCredential(t, identity.Config{}), modelScope); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownSelection(t *testing.T) {
	clearEnv(t)
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "Password")
	_, err := identity.NewCredential(identity.Config{})
	checkFault(t, err, fault.Misconfigured, "identity_missing", `AZURE_TOKEN_CREDENTIALS="Password"`)
}

// checkFault checks a classified error, and that its message is for people.
func checkFault(t *testing.T, err error, kind fault.Kind, code string, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	e := fault.From(err)
	if e.Kind != kind || e.Code != code {
		t.Errorf("got %v %s, want %v %s: %v", e.Kind, e.Code, kind, code, err)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("the message lacks %q: %s", part, e.Message)
		}
	}
	if strings.ContainsAny(e.Message, "\n\t") || strings.Contains(e.Message, "----") || len(e.Message) > 600 {
		t.Errorf("not a plain sentence: %s", e.Message)
	}
}

// assign is the command that mends an app without an identity.
const assign = "az functionapp identity assign --name keyless-app --resource-group rg-keyless"

// What the endpoint answers over HTTP in place of a token.
func TestRefusals(t *testing.T) {
	const noIdentity = `{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.","correlationId":"c0ffee"}`
	for name, c := range map[string]struct {
		status int
		body   string
		kind   fault.Kind
		code   string
		says   string
	}{
		"no identity":   {400, noIdentity, fault.Misconfigured, "identity_missing", "No User Assigned or Delegated Managed Identity found"},
		"entra's shape": {400, `{"error":"invalid_resource","error_description":"AADSTS500011: not found\r\nTrace ID: 1"}`, fault.Misconfigured, "identity_missing", "AADSTS500011: not found Trace ID: 1"},
		"wrong header":  {401, `{"statusCode":401,"message":"bad header"}`, fault.Denied, "identity_denied", "HTTP 401: bad header"},
		"forbidden":     {403, "<html>\n<body>blocked", fault.Denied, "identity_denied", "HTTP 403"},
		"throttled":     {429, `{"message":"slow down"}`, fault.Throttled, "identity_throttled", "slow down"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "17") // too long to be waited out
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer srv.Close()
			inAzure(t, srv.URL)
			cred := newCredential(t, identity.Config{ResourceGroup: "rg-keyless"})
			_, err := ask(t.Context(), cred, modelScope)
			checkFault(t, err, c.kind, c.code, "No token for https://cognitiveservices.azure.com:", c.says, assign)
			if e := fault.From(err); c.status == 429 && e.RetryAfter != 17*time.Second {
				t.Errorf("RetryAfter is %v, want 17s", e.RetryAfter)
			} else if name == "no identity" && e.UpstreamID != "c0ffee" {
				t.Errorf("UpstreamID is %q", e.UpstreamID)
			}
		})
	}
}

func TestUserAssignedIdentityIsNamed(t *testing.T) {
	endpoint, url := standIn(t)
	endpoint.Faults.Set(localazure.Fault{Status: 400})
	inAzure(t, url)
	t.Setenv("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000000b")
	_, err := ask(t.Context(), newCredential(t, identity.Config{}), modelScope)
	checkFault(t, err, fault.Misconfigured, "identity_missing", "AZURE_CLIENT_ID (00000000-0000-4000-8000-00000000000b)",
		"az functionapp identity show --name keyless-app --resource-group <group>")
}

// A starting instance's endpoint that fails for a moment is no error.
func TestFirstFetchIsRetried(t *testing.T) {
	endpoint, url := standIn(t)
	endpoint.Faults.Set(localazure.Fault{Status: 503, Times: 1})
	inAzure(t, url)
	if _, err := newSource(t, newCredential(t, identity.Config{})).Token(t.Context(), modelScope); err != nil {
		t.Fatal(err)
	}
	if n := endpoint.Requests("https://cognitiveservices.azure.com"); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// network is the wire below azidentity.
type network func(*http.Request) (*http.Response, error)

func (n network) Do(r *http.Request) (*http.Response, error) { return n(r) }

func refusing(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func blackHole(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func answering(status int, body string) network {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Request: r, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// However the identity is not there, all callers are told why within 15
// seconds, whatever audience they ask for.
func TestNoIdentityIsSaidSoon(t *testing.T) {
	const (
		endpoint = "http://127.0.0.1:41741/msi/token"
		laptop   = "remove AZURE_TOKEN_CREDENTIALS"
		notFound = `{"error":"invalid_request","error_description":"Identity not found"}`
	)
	for name, c := range map[string]struct {
		endpoint, site string
		wire           network
		kind           fault.Kind
		code           string
		says, advice   string
	}{
		"no endpoint on a host":   {"", "keyless-app", blackHole, fault.Misconfigured, "identity_missing", "no managed identity", assign},
		"endpoint fails":          {endpoint, "keyless-app", answering(500, ""), fault.Unavailable, "identity_unavailable", "HTTP 500", assign},
		"endpoint refuses":        {endpoint, "keyless-app", refusing, fault.Unavailable, "identity_unavailable", "could not be reached", assign},
		"endpoint is silent":      {endpoint, "keyless-app", blackHole, fault.Unavailable, "identity_unavailable", "endpoint", assign},
		"endpoint has none":       {endpoint, "keyless-app", answering(400, notFound), fault.Misconfigured, "identity_missing", "Identity not found", assign},
		"endpoint talks HTML":     {endpoint, "keyless-app", answering(200, "<html>"), fault.Unavailable, "identity_unavailable", "made no sense", assign},
		"endpoint gives nothing":  {endpoint, "keyless-app", answering(200, "{}"), fault.Unavailable, "identity_unavailable", "made no sense", assign},
		"no metadata service":     {"", "", refusing, fault.Unavailable, "identity_unavailable", "could not be reached", laptop},
		"silent metadata service": {"", "", blackHole, fault.Unavailable, "identity_unavailable", "endpoint", laptop},
		"machine has none":        {"", "", answering(400, notFound), fault.Misconfigured, "identity_missing", "no managed identity", laptop},
	} {
		t.Run(name, func(t *testing.T) {
			inAzure(t, c.endpoint)
			t.Setenv("WEBSITE_SITE_NAME", c.site)
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := newSource(t, newCredential(t, identity.Config{ResourceGroup: "rg-keyless", Transport: c.wire}))
				var callers sync.WaitGroup
				for i := range 16 {
					callers.Go(func() {
						_, err := s.Token(t.Context(), fmt.Sprintf("https://service%d.azure.net/.default", i%4))
						checkFault(t, err, c.kind, c.code, c.says, c.advice)
					})
				}
				callers.Wait()
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A laptop where nobody is signed in, and one where somebody is.
func TestDeveloper(t *testing.T) {
	for name, c := range map[string]struct {
		az   string // what stands for the Azure CLI; empty: not installed
		fail bool
	}{
		"not installed": {"", true},
		"signed out":    {"echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1", true},
		"signed in":     {`echo '{"accessToken":"dev-token","expires_on":4102444800}'`, false},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
			dir := t.TempDir()
			t.Setenv("PATH", dir)
			if c.az != "" {
				if err := os.WriteFile(filepath.Join(dir, "az"), []byte("#!/bin/sh\n"+c.az+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			token, err := newSource(t, newCredential(t, identity.Config{})).Token(t.Context(), modelScope)
			if c.fail {
				checkFault(t, err, fault.Misconfigured, "identity_missing", "not signed in", "`az login`")
			} else if err != nil || token != "dev-token" {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
}

// A local run with one real service: its tokens are the developer's, all others
// are minted, and the developer's own trouble is what the app says.
func TestPartialReality(t *testing.T) {
	clearEnv(t)
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "AzureCLICredential")
	t.Setenv("PATH", t.TempDir())
	developer := newCredential(t, identity.Config{})
	endpoint, url := standIn(t)
	endpoint.Real = map[string]azcore.TokenCredential{"https://cognitiveservices.azure.com": developer}
	for name, value := range endpoint.Env(url) {
		t.Setenv(name, value)
	}
	s := newSource(t, newCredential(t, identity.Config{}))
	if _, err := s.Token(t.Context(), sessionScope); err != nil {
		t.Error(err)
	}
	_, err := s.Token(t.Context(), modelScope)
	checkFault(t, err, fault.Misconfigured, "identity_missing", "not signed in to Azure. Run `az login`")
	if strings.Contains(fault.From(err).Message, "functionapp") {
		t.Errorf("there is no such app: %v", err)
	}
}

func TestCanceled(t *testing.T) {
	inAzure(t, "http://127.0.0.1:41741/msi/token")
	synctest.Test(t, func(t *testing.T) {
		cred := newCredential(t, identity.Config{Transport: network(blackHole)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := newSource(t, cred).Token(ctx, modelScope)
		if !fault.Is(err, fault.Deadline) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}
