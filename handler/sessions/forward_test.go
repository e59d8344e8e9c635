package sessions_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"keyless/handler/sessions"
)

// serveContainers returns a client of a pool of custom containers.
func serveContainers(t *testing.T, answer http.HandlerFunc) (*sessions.Client, string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	o := quick()
	o.CustomContainer = true
	return newClient(t, server.URL, o), server.URL
}

func TestForward(t *testing.T) {
	client, base := serveContainers(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if got := r.Method + " " + r.URL.String(); got != "PUT /v1/a%2Fb/?identifier="+identifier+"&q=1" || string(body) != "content" {
			t.Errorf("request %s with %q", got, body)
		}
		if r.Header.Get("Authorization") != "Bearer secret-token" || r.Header.Get("X-Own") != "1" || r.Header.Get("Content-Type") != "text/x" {
			t.Errorf("header %v", r.Header)
		}
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = io.WriteString(w, "go there")
	})
	for _, target := range []string{"/v1/a%2Fb/?q=1&identifier=other", base + "/v1/a%2Fb/?q=1"} {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", target, strings.NewReader("content"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Bearer own"}, "X-Own": {"1"}, "Content-Type": {"text/x"}}
		resp, err := client.Forward(identifier, r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusTemporaryRedirect || string(body) != "go there" {
			t.Errorf("answer %d %q", resp.StatusCode, body)
		}
	}
}

func TestForwardRefuses(t *testing.T) {
	client, _ := serveContainers(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked for", r.URL) })
	for _, target := range []string{"https://evil.example/v1", "/.management/listSessions", "/.Management/stopSession", "/%2emanagement/x", "/a/../.management/x", "/a%2f..%2f.management/x", `/a\..\.management`, "//.management/x"} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
		if err := parseInto(r, target); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Forward(identifier, r); !errors.Is(err, sessions.ErrBadRequest) {
			t.Errorf("%s: error %v, want ErrBadRequest", target, err)
		}
	}
	if _, err := client.Forward("", httptest.NewRequest("GET", "/v1", nil)); !errors.Is(err, sessions.ErrBadRequest) {
		t.Errorf("no identifier: error %v, want ErrBadRequest", err)
	}
}

// parseInto gives r that target, which http.NewRequest would partly take for
// a host.
func parseInto(r *http.Request, target string) error {
	path, isPath := strings.CutPrefix(target, "//")
	if !isPath {
		u, err := r.URL.Parse(target)
		r.URL = u
		return err
	}
	r.URL.Path, r.URL.RawPath = "//"+path, ""
	return nil
}

func TestContainerSessions(t *testing.T) {
	client, _ := serveContainers(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Query().Get("api-version") != "2025-02-02-preview" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
		switch r.URL.Path + " " + r.URL.Query().Get("identifier") + r.URL.Query().Get("skip") {
		case "/.management/getSession one-1":
			_, _ = io.WriteString(w, `{"identifier":"one-1","etag":"c1","expiresAt":"2026-01-02T03:09:05Z"}`)
		case "/.management/stopSession one-1":
			_, _ = io.WriteString(w, "Session one-1 in session pool p stopped.")
		case "/.management/listSessions 0":
			_, _ = io.WriteString(w, `{"value":[{"identifier":"one-1","etag":"c1"}],"count":2,"nextLink":"/.management/listSessions?skip=300"}`)
		case "/.management/listSessions 300":
			_, _ = io.WriteString(w, `{"value":[{"identifier":"two-2"}],"count":2,"nextLink":null}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"code":"SessionWithIdentifierNotFound"}}`)
		}
	})
	info, err := client.GetSession(t.Context(), "one-1")
	if err != nil || info.ETag != "c1" || info.ExpiresAt.Year() != 2026 {
		t.Errorf("GetSession = %v, %v", info, err)
	}
	if _, err := client.GetSession(t.Context(), "two-2"); !errors.Is(err, sessions.ErrSessionGone) {
		t.Errorf("error %v, want ErrSessionGone", err)
	}
	if err := errors.Join(client.DeleteSession(t.Context(), "one-1"), client.DeleteSession(t.Context(), "two-2")); err != nil {
		t.Error(err)
	}
	var all []string
	for info, err := range client.ListSessions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Identifier)
	}
	if !slices.Equal(all, []string{"one-1", "two-2"}) {
		t.Errorf("sessions %q", all)
	}
	if _, err := client.Metadata(t.Context()); !errors.Is(err, sessions.ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
}
