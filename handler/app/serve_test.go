package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyless/handler/fault"
	"keyless/handler/host"
)

// serveOnce serves one request with h and returns the answer and the record.
func serveOnce(t *testing.T, h handler) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	var logged bytes.Buffer
	a := &App{log: host.NewLog(&logged, &logged, slog.LevelInfo)}
	w := httptest.NewRecorder()
	a.serve("test", time.Minute, h).ServeHTTP(w, httptest.NewRequest("GET", "/api/test?secret=1", nil))
	var record map[string]any
	if err := json.Unmarshal(logged.Bytes(), &record); err != nil {
		t.Fatalf("want one record, got %s", &logged)
	}
	return w, record
}

func TestWhatBecomesOfAHandler(t *testing.T) {
	for name, test := range map[string]struct {
		handler handler
		status  int
		code    string
		level   string
	}{
		"done":         {func(c *call) error { return c.json(200, 1) }, 200, "", "INFO"},
		"classified":   {func(*call) error { return fault.New(fault.Conflict, "busy", "Busy.") }, 409, "busy", "INFO"},
		"unclassified": {func(*call) error { return errors.New("secret cause") }, 500, "internal_error", "ERROR"},
		"panic":        {func(*call) error { panic("secret cause") }, 500, "internal_error", "ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			w, record := serveOnce(t, test.handler)
			if w.Code != test.status || record["status"] != float64(test.status) || record["level"] != test.level {
				t.Errorf("answer %d, record %v", w.Code, record)
			}
			if test.code == "" {
				return
			}
			var p problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code != test.code || p.InvocationID == "" || p.Title == "" {
				t.Errorf("problem %s: %v", w.Body, err)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the cause is shown: %s", w.Body)
			}
			if cause, _ := record["error"].(string); test.status == 500 && !strings.Contains(cause, "secret cause") {
				t.Errorf("the cause is not in the log: %v", record)
			}
		})
	}
}

func TestAPanicAfterTheHeaderBreaksTheConnection(t *testing.T) {
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v, want http.ErrAbortHandler", p)
		}
	}()
	a := &App{log: slog.New(slog.DiscardHandler)}
	a.serve("test", time.Minute, func(c *call) error {
		_, _ = c.w.Write([]byte("half"))
		panic("boom")
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	t.Error("the connection was left as it was")
}

func TestRetryAfterIsInWholeSeconds(t *testing.T) {
	w, _ := serveOnce(t, func(*call) error {
		e := fault.New(fault.Throttled, "slow_down", "Slow down.")
		e.RetryAfter = 1500 * time.Millisecond
		return e
	})
	if got := w.Header().Get("Retry-After"); w.Code != 429 || got != "2" {
		t.Errorf("%d, Retry-After %q", w.Code, got)
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	for kind := fault.Internal; kind <= fault.Canceled; kind++ {
		if statuses[kind] == 0 {
			t.Errorf("%v has no status", kind)
		}
	}
}
