package sessions_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/sessions"
)

// inProcess is a transport without a network, for tests on a fake clock.
type inProcess struct{ http.Handler }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

// script is a client whose requests are answered in this process.
func script(t *testing.T, answer http.HandlerFunc) *sessions.Client {
	var o sessions.Options
	o.Transport = inProcess{answer}
	return newClient(t, "https://eastus.dynamicsessions.io"+poolPath, &o)
}

func TestExecuteRequest(t *testing.T) {
	var r *http.Request
	var body map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, got *http.Request) {
		r = got
		if err := json.NewDecoder(got.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		w.Header().Set("operation-id", "op1")
		w.Header().Set("X-Ms-Session-Guid", "pod1")
		_, _ = io.WriteString(w, succeeded)
	}))
	defer server.Close()
	o := &sessions.Options{}
	o.Telemetry.ApplicationID = "keyless"
	code := "print('<ü>&\u2028')\x00"
	got, err := newClient(t, server.URL+poolPath, o).Execute(t.Context(), identifier,
		sessions.ExecuteRequest{Code: code, Timeout: 90500 * time.Millisecond, MaxStreamChars: 9000})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"codeInputType": "Inline", "executionType": "Synchronous", "code": code,
		"timeoutInSeconds": 90.0, "outputStreamsMaxLength": 9000.0}
	if !reflect.DeepEqual(body, want) {
		t.Errorf("body %v, want %v", body, want)
	}
	if got := r.Method + " " + r.URL.String(); got != "POST "+poolPath+"/executions?api-version=2025-10-02-preview&identifier="+identifier {
		t.Errorf("request %s", got)
	}
	if got := r.Header.Get("User-Agent"); !strings.HasPrefix(got, "keyless azsdk-go-sessions/") {
		t.Errorf("User-Agent %q", got)
	}
	if got.OperationID != "op1" || got.SessionGUID != "pod1" || got.ID != "e1" || got.Duration != 3*time.Millisecond {
		t.Errorf("execution %+v", got)
	}
}

func TestExecuteRefusesInvalidUTF8(t *testing.T) {
	client, count := serve(t, func(int, http.ResponseWriter, *http.Request) {})
	_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "'\xff'"})
	if !errors.Is(err, sessions.ErrBadRequest) || count.Load() != 0 {
		t.Errorf("error %v after %d requests, want ErrBadRequest after none", err, count.Load())
	}
}

func TestRunLimit(t *testing.T) {
	for _, tt := range []struct {
		name           string
		asked, context time.Duration
		want           int
	}{
		{"nothing said", 0, 0, 220},
		{"asked for", 30 * time.Second, 0, 30},
		{"asked for too much", time.Hour, 0, 220},
		{"asked for a moment", time.Millisecond, 0, 1},
		{"rounded down", 2900 * time.Millisecond, 0, 2},
		{"from the context", 0, 60 * time.Second, 58},
		{"cut to the context", 90 * time.Second, 60 * time.Second, 58},
		{"context has more", 30 * time.Second, 60 * time.Second, 30},
		{"hardly any time left", 0, 2 * time.Second, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var body struct{ TimeoutInSeconds int }
				client := script(t, func(w http.ResponseWriter, r *http.Request) {
					_ = json.NewDecoder(r.Body).Decode(&body)
					_, _ = io.WriteString(w, succeeded)
				})
				ctx := t.Context()
				if tt.context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.context)
					defer cancel()
				}
				if _, err := client.Execute(ctx, identifier, sessions.ExecuteRequest{Code: "1", Timeout: tt.asked}); err != nil {
					t.Fatal(err)
				}
				if body.TimeoutInSeconds != tt.want {
					t.Errorf("timeoutInSeconds %d, want %d", body.TimeoutInSeconds, tt.want)
				}
			})
		})
	}
}

func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := script(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		start := time.Now()
		_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1", Timeout: 10 * time.Second})
		e, ok := errors.AsType[*sessions.Error](err)
		if !ok || !errors.Is(err, sessions.ErrUnavailable) || !e.MayHaveRun || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want ErrUnavailable that may have run", err)
		}
		if took := time.Since(start); took != 40*time.Second {
			t.Errorf("waited %v, want the run and a margin", took)
		}
	})
}

func TestContextEnds(t *testing.T) {
	arrived := make(chan struct{})
	client, count := serve(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := client.Execute(ctx, identifier, sessions.ExecuteRequest{Code: "1"})
	if !errors.Is(err, context.Canceled) || count.Load() != 1 {
		t.Errorf("error %v after %d requests, want Canceled after 1", err, count.Load())
	}
	if _, err := client.Execute(ctx, identifier, sessions.ExecuteRequest{Code: "1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v with a dead context, want Canceled", err)
	}
}

// TestNeverRunTwice has an execute go wrong in the ways in which the code may
// have run, and counts what is sent.
func TestNeverRunTwice(t *testing.T) {
	status := func(code int) func(int, http.ResponseWriter, *http.Request) {
		return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, answer := range map[string]func(int, http.ResponseWriter, *http.Request){
		"500": status(500), "502": status(502), "503": status(503), "504": status(504),
		"cut before the header": func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"reset": func(_ int, w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		},
		"cut in the body": func(_ int, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, succeeded[:40])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"not JSON":   func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"empty":      status(200),
		"not an end": func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"Running"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			client, count := serve(t, answer)
			_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"})
			e, ok := errors.AsType[*sessions.Error](err)
			if !ok || !e.MayHaveRun || !errors.Is(err, sessions.ErrUnavailable) && !errors.Is(err, sessions.ErrProtocol) {
				t.Errorf("error %v, want one that says that the code may have run", err)
			}
			if count.Load() != 1 {
				t.Errorf("%d requests, want 1", count.Load())
			}
		})
	}
}

func TestRepeatedIfDeclined(t *testing.T) {
	for name, tt := range map[string]struct {
		status     int
		retryAfter string
		want       time.Duration // 0: any
	}{
		"429":                  {429, "", 0},
		"429 with Retry-After": {429, "7", 7 * time.Second},
		"503 with Retry-After": {503, "7", 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var count atomic.Int32
				client := script(t, func(w http.ResponseWriter, r *http.Request) {
					if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), `"code":"1+1"`) {
						t.Errorf("request %d has the body %s", count.Load()+1, body)
					}
					if count.Add(1) == 1 {
						w.Header().Set("Retry-After", tt.retryAfter)
						w.WriteHeader(tt.status)
						return
					}
					_, _ = io.WriteString(w, succeeded)
				})
				start := time.Now()
				if _, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1+1"}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); count.Load() != 2 || tt.want > 0 && took != tt.want {
					t.Errorf("%d requests in %v, want 2 in %v", count.Load(), took, tt.want)
				}
			})
		})
	}
}

func TestRetryAfterBeyondDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int32
		client := script(t, func(w http.ResponseWriter, _ *http.Request) {
			count.Add(1)
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := client.Execute(ctx, identifier, sessions.ExecuteRequest{Code: "1"})
		e, ok := errors.AsType[*sessions.Error](err)
		if !ok || !errors.Is(err, sessions.ErrThrottled) || e.RetryAfter != 20*time.Second || e.MayHaveRun {
			t.Errorf("error %#v, want ErrThrottled", err)
		}
		if count.Load() != 1 || time.Since(start) != 0 {
			t.Errorf("%d requests in %v, want 1 at once", count.Load(), time.Since(start))
		}
	})
}

func TestRefusedConnectionIsRepeated(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	addr := server.Listener.Addr().String()
	server.Close() // nothing listens now
	var counter tryCounter
	o := quick()
	o.PerRetryPolicies = append(o.PerRetryPolicies, &counter)
	_, err := newClient(t, "http://"+addr, o).Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"})
	e, ok := errors.AsType[*sessions.Error](err)
	if !ok || !errors.Is(err, sessions.ErrUnavailable) || e.MayHaveRun {
		t.Errorf("error %v, want ErrUnavailable that did not run", err)
	}
	if counter.tries != 4 {
		t.Errorf("%d tries, want 4", counter.tries)
	}
}

func TestErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		status  int
		body    string
		want    error
		code    string
		message string
	}{
		"empty 401":         {401, "", sessions.ErrUnauthorized, "", ""},
		"403":               {403, `{"error":{"code":"Forbidden","message":"no"}}`, sessions.ErrForbidden, "Forbidden", "no"},
		"404":               {404, "", sessions.ErrPoolFull, "", ""},
		"404 is not found":  {404, "", sessions.ErrNotFound, "", ""},
		"bare string":       {404, `"No execution"`, sessions.ErrNotFound, "", "No execution"},
		"gone":              {400, `{"error":{"code":"SessionWithIdentifierNotFound"}}`, sessions.ErrSessionGone, "SessionWithIdentifierNotFound", ""},
		"bad request":       {400, `{"error":{"code":"SessionPropertiesMissing","message":"m","traceId":"t1"}}`, sessions.ErrBadRequest, "SessionPropertiesMissing", "m"},
		"nested twice":      {400, `{"error":{"error":{"code":"X","message":"m"}}}`, sessions.ErrBadRequest, "X", "m"},
		"web page":          {502, "<html><body>Bad Gateway</body></html>", sessions.ErrUnavailable, "", ""},
		"plain text":        {500, "upstream connect error\n", sessions.ErrUnavailable, "", "upstream connect error"},
		"413":               {413, "", sessions.ErrTooLarge, "", ""},
		"418":               {418, `{"error":null}`, sessions.ErrBadRequest, "", ""},
		"code of the wrong": {400, `{"error":{"code":17}}`, sessions.ErrBadRequest, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("operation-id", "op1")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"})
			e, ok := errors.AsType[*sessions.Error](err)
			if !ok || !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if e.StatusCode != tt.status || e.Code != tt.code || e.Message != tt.message || e.OperationID != "op1" {
				t.Errorf("error %+v, want status %d, code %q, message %q", e, tt.status, tt.code, tt.message)
			}
		})
	}
}

func TestErrorCodeFromHeader(t *testing.T) {
	client, _ := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-ms-error-code", "SessionWithIdentifierNotFound")
		w.WriteHeader(http.StatusBadRequest)
	})
	_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"})
	if !errors.Is(err, sessions.ErrSessionGone) {
		t.Errorf("error %v, want ErrSessionGone", err)
	}
}
