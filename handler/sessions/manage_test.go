package sessions_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"keyless/handler/sessions"
)

func TestGetSession(t *testing.T) {
	for _, name := range []string{"expireAt", "expiresAt"} {
		client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if r.Method+" "+r.URL.Path != "GET "+poolPath+"/session" {
				t.Errorf("request %s %s", r.Method, r.URL.Path)
			}
			_, _ = io.WriteString(w, `{"$id":"1","identifier":"`+identifier+`","etag":"pod1","createdAt":"2026-01-02T03:04:05.123456789Z","`+name+`":"2026-01-02T03:09:05Z"}`)
		})
		session, err := client.GetSession(t.Context(), identifier)
		if err != nil {
			t.Fatal(err)
		}
		if session.ETag != "pod1" || session.CreatedAt.Nanosecond() != 123456789 || !session.ExpiresAt.Equal(time.Date(2026, 1, 2, 3, 9, 5, 0, time.UTC)) {
			t.Errorf("session %+v", session)
		}
	}
}

func TestGetSessionFails(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"gone":     {400, `{"error":{"code":"SessionWithIdentifierNotFound"}}`, sessions.ErrSessionGone},
		"404":      {404, "", sessions.ErrNotFound},
		"not JSON": {200, "hello", sessions.ErrProtocol},
	} {
		client, _ := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		})
		if _, err := client.GetSession(t.Context(), identifier); !errors.Is(err, tt.want) || errors.Is(err, sessions.ErrPoolFull) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
}

func TestDeleteSession(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"deleted":         {204, "", nil},
		"200":             {200, `{"message":"deleted"}`, nil},
		"no such session": {400, `{"error":{"code":"SessionWithIdentifierNotFound"}}`, nil},
		"404":             {404, "", nil},
		"other 400":       {400, `{"error":{"code":"SessionRequestValidationFailed"}}`, sessions.ErrBadRequest},
		"not offered":     {400, `{"error":{"code":"SessionRequestNotSupported"}}`, sessions.ErrUnsupported},
		"401":             {401, "", sessions.ErrUnauthorized},
	} {
		client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if r.Method+" "+r.URL.Path != "DELETE "+poolPath+"/session" {
				t.Errorf("request %s %s", r.Method, r.URL.Path)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		})
		if err := client.DeleteSession(t.Context(), identifier); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
}

func TestDeleteSessionIsRepeated(t *testing.T) {
	client, count := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	if err := client.DeleteSession(t.Context(), identifier); err != nil || count.Load() != 3 {
		t.Errorf("error %v after %d requests, want none after 3", err, count.Load())
	}
}

func TestListSessions(t *testing.T) {
	for _, key := range []string{"sessions", "value"} {
		client, count := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
			want := []string{"", "api-version=2025-10-02-preview", "api-version=2025-10-02-preview&skip=1"}[n]
			if r.Method+" "+r.URL.Path != "GET "+poolPath+"/listSessions" || r.URL.RawQuery != want {
				t.Errorf("request %s %s", r.Method, r.URL)
			}
			link := []string{"", `"/listSessions?skip=1"`, "null"}[n]
			_, _ = io.WriteString(w, `{"$id":"1","`+key+`":[{"identifier":"one-1","etag":"c1","expireAt":"2026-01-02T03:09:05Z"}],"nextLink":`+link+`}`)
		})
		var all int
		for info, err := range client.ListSessions(t.Context()) {
			if err != nil || info.Identifier != "one-1" || info.ETag != "c1" || info.ExpiresAt.IsZero() {
				t.Errorf("%s: session %v, %v", key, info, err)
			}
			all++
		}
		if all != 2 || count.Load() != 2 {
			t.Errorf("%s: %d sessions in %d pages", key, all, count.Load())
		}
	}
}

func TestMetadata(t *testing.T) {
	client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Method+" "+r.URL.String() != "GET "+poolPath+"/metadata?api-version=2025-10-02-preview" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
		_, _ = io.WriteString(w, `{"runtimes":[{"name":"Python","version":"3.12.7"}],"preInstalledPackages":[{"name":"pandas","version":"2.2.2"}],`+
			`"createdAt":"2026-01-02T03:04:05Z","jupyterKernel":{"name":"ipykernel","version":"6.29","projectUrl":"https://ipython.org","description":"d"}}`)
	})
	m, err := client.Metadata(t.Context())
	if err != nil || m.Runtimes[0].Version != "3.12.7" || m.Packages[0].Name != "pandas" || m.Kernel.ProjectURL != "https://ipython.org" || m.CreatedAt.IsZero() {
		t.Errorf("Metadata = %+v, %v", m, err)
	}
}

// TestAfterBrokenAnswer has answers break off of what may be repeated.
func TestAfterBrokenAnswer(t *testing.T) {
	client, count := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"sessions":`)
			return
		}
		_, _ = io.WriteString(w, `{"sessions":[]}`)
	})
	if err := listError(client.ListSessions(t.Context())); err != nil || count.Load() != 2 {
		t.Errorf("error %v after %d requests", err, count.Load())
	}
}

func TestOnCall(t *testing.T) {
	var calls []sessions.Call
	o := quick()
	o.OnCall = func(_ context.Context, call sessions.Call) { calls = append(calls, call) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ms-Overall-Execution-Time", "42m56.97s")
		w.Header().Set("X-Ms-Container-Execution-Duration", "5010.000000")
		w.Header().Set("X-Ms-Session-Guid", "pod-"+identifier)
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, succeeded)
	}))
	client := newClient(t, server.URL, o)
	_, _ = client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "secret_code"})
	_ = client.DeleteFile(t.Context(), identifier, "secret_name")
	server.Close()
	_, _ = client.GetSession(t.Context(), identifier)
	_, _ = client.GetSession(t.Context(), "bad") // is not sent, and not told
	timings := map[string]string{"X-Ms-Overall-Execution-Time": "42m56.97s", "X-Ms-Container-Execution-Duration": "5010.000000"}
	want := []sessions.Call{{Operation: "execute in a session", Status: 200, Timings: timings}, {Operation: "delete a file", Status: 403, Timings: timings}, {Operation: "get a session"}}
	for n := range calls {
		if calls[n].Duration <= 0 {
			t.Errorf("call %d took no time", n)
		}
		calls[n].Duration = 0
	}
	if !reflect.DeepEqual(calls, want) {
		t.Errorf("calls %+v, want %+v", calls, want)
	}
}
