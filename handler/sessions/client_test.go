package sessions_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyless/handler/sessions"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	identifier = "conversation-4f1c2a"
	poolPath   = "/subscriptions/s/resourceGroups/g/sessionPools/p"
	succeeded  = `{"$id":"1","id":"e1","status":"Succeeded","result":{"$id":"2","stdout":"","stderr":"","executionResult":2,"executionTimeInMilliseconds":3}}`
)

// tokens is a credential that counts how often it is asked.
type tokens struct {
	asked atomic.Int32
	scope atomic.Value
	err   error
}

func (c *tokens) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.asked.Add(1)
	c.scope.Store(o.Scopes[0])
	return azcore.AccessToken{Token: "secret-token", ExpiresOn: time.Now().Add(time.Hour)}, c.err
}

// tryCounter is a pipeline policy that counts what is sent.
type tryCounter struct{ tries int }

func (c *tryCounter) Do(req *policy.Request) (*http.Response, error) {
	c.tries++
	return req.Next()
}

// quick makes retries take no time worth speaking of.
func quick() *sessions.Options {
	var o sessions.Options
	o.Retry.RetryDelay = time.Millisecond
	return &o
}

func newClient(t *testing.T, endpoint string, o *sessions.Options) *sessions.Client {
	t.Helper()
	client, err := sessions.New(endpoint, &tokens{}, o)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// serve starts a server that answers request n, from 1 on, by answer, and
// returns a client of it and the count of requests.
func serve(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) (*sessions.Client, *atomic.Int32) {
	t.Helper()
	var count atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(count.Add(1))
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see the caller go
		answer(n, w, r)
	}))
	t.Cleanup(server.Close)
	return newClient(t, server.URL+poolPath, quick()), &count
}

func TestEndpointSuffix(t *testing.T) {
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		_, _ = io.WriteString(w, succeeded)
	}))
	defer server.Close()
	for _, suffix := range []string{"", "/", "//", "/executions", "/executions/", "/python/execute", "/code/execute/"} {
		client := newClient(t, server.URL+poolPath+suffix, nil)
		if _, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"}); err != nil {
			t.Fatal(err)
		}
		if want := poolPath + "/executions"; path != want {
			t.Errorf("suffix %q: path %q, want %q", suffix, path, want)
		}
	}
}

func TestIdentifier(t *testing.T) {
	client, count := serve(t, func(int, http.ResponseWriter, *http.Request) {})
	for _, bad := range []string{"", "abc", strings.Repeat("a", 129), "a b c d", "abcd\n", "abc\x00", "ab\\cd", "äöüß"} {
		_, err := client.Execute(t.Context(), bad, sessions.ExecuteRequest{Code: "1"})
		if !errors.Is(err, sessions.ErrBadRequest) {
			t.Errorf("%q: error %v, want ErrBadRequest", bad, err)
		}
	}
	if count.Load() != 0 {
		t.Errorf("%d requests were made", count.Load())
	}
}

// TestIdentifierIsEncoded sends one of the signs that mean something in a URL.
func TestIdentifierIsEncoded(t *testing.T) {
	const odd = "a&b=c#d%20e+f/../?g"
	client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query(); r.URL.Path != poolPath+"/executions" || got.Get("identifier") != odd || len(got) != 2 {
			t.Errorf("request for %s", r.URL)
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"code":"X","message":"bad: `+r.URL.RawQuery+` `+odd+`"}}`)
	})
	_, err := client.Execute(t.Context(), odd, sessions.ExecuteRequest{Code: "1"})
	if text := err.Error(); strings.Contains(text, odd) || strings.Contains(text, url.QueryEscape(odd)) {
		t.Errorf("the error tells the identifier: %v", err)
	}
}

// TestIdentifierStaysOut has errors come about in each way there is, and looks
// for the identifier in them.
func TestIdentifierStaysOut(t *testing.T) {
	echo := func(_ int, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"code":"X","message":"no `+r.URL.RawQuery+`","target":"`+r.URL.Query().Get("identifier")+`"}}`)
	}
	cut := func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()

	echoing, _ := serve(t, echo)
	cutting, _ := serve(t, cut)
	for name, client := range map[string]*sessions.Client{
		"echo": echoing, "cut": cutting, "refused": newClient(t, closed.URL, quick()),
	} {
		_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "print(4711)"})
		e, ok := errors.AsType[*sessions.Error](err)
		if !ok {
			t.Fatalf("%s: error %v, want an *Error", name, err)
		}
		for cause := error(e); cause != nil; cause = errors.Unwrap(cause) {
			if text := cause.Error() + e.Target; strings.Contains(text, identifier) || strings.Contains(text, "4711") || strings.Contains(text, "secret-token") {
				t.Errorf("%s: the error tells too much: %s", name, text)
			}
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var hits atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 307, 308} {
		client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, status)
		})
		_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"})
		if !errors.Is(err, sessions.ErrRedirected) {
			t.Errorf("%d: error %v, want ErrRedirected", status, err)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d redirects were followed", hits.Load())
	}
}

func TestToken(t *testing.T) {
	for audience, want := range map[string]string{
		"":                                     "https://dynamicsessions.io/.default",
		"https://dynamicsessions.io/.default":  "https://dynamicsessions.io/.default",
		"https://dynamicsessions.io":           "https://dynamicsessions.io/.default",
		"https://dynamicsessions.example/":     "https://dynamicsessions.example/.default",
		"api://00000000-0000-4000-8000-000001": "api://00000000-0000-4000-8000-000001/.default",
	} {
		cred := &tokens{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != "Bearer secret-token" {
				t.Errorf("Authorization is %q", got)
			}
			_, _ = io.WriteString(w, succeeded)
		}))
		client, err := sessions.New(server.URL, cred, &sessions.Options{Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"}); err != nil {
				t.Fatal(err)
			}
		}
		if got := cred.scope.Load(); got != want || cred.asked.Load() != 1 {
			t.Errorf("audience %q: %d tokens for %q, want 1 for %q", audience, cred.asked.Load(), got, want)
		}
		server.Close()
	}
}

func TestTokenAskedAgainAfter401(t *testing.T) {
	cred := &tokens{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer server.Close()
	client, err := sessions.New(server.URL, cred, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"})
		e, ok := errors.AsType[*sessions.Error](err)
		if !ok || !errors.Is(err, sessions.ErrUnauthorized) || !strings.Contains(e.Hint, "Session Executor") || e.MayHaveRun {
			t.Errorf("error %#v, want ErrUnauthorized with a hint", err)
		}
		if got := int(cred.asked.Load()); got != n+1 {
			t.Errorf("call %d: %d tokens asked for", n+1, got)
		}
	}
}

func TestTokenError(t *testing.T) {
	cause := errors.New("no identity")
	client, err := sessions.New("https://eastus.dynamicsessions.io", &tokens{err: cause}, quick())
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"})
	if !errors.Is(err, sessions.ErrToken) || !errors.Is(err, cause) {
		t.Errorf("error %v, want ErrToken and its cause", err)
	}
}
