package sessions_test

import (
	"errors"
	"io"
	"net/http"
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
		"other 400":       {400, `{"error":{"code":"SessionRequestNotSupported"}}`, sessions.ErrBadRequest},
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
