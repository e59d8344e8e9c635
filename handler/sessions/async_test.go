package sessions_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/sessions"
)

// startedAt is how an asynchronous execution was seen to be answered: the
// Operation-Location lacks the pool's path, and stdout holds an id.
func startedAt(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Operation-Location", "/executions/e1?api-version=2024-10-02-preview&identifier="+identifier)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestStartAndWait(t *testing.T) {
	for name, started := range map[string]struct {
		status int
		body   string
	}{
		"202 not started":  {202, `{"id":"e1","executionType":"Asynchronous","status":"NotStarted","result":{"stdout":"e1"}}`},
		"200 running":      {200, `{"$id":"1","id":"e1","status":"running"}`},
		"id in the header": {202, `{"status":"Running","result":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				polls := 0
				client := script(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("operation-id", "e1")
					if r.Method == http.MethodPost {
						if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), `"executionType":"Asynchronous"`) || !strings.Contains(string(body), `"timeoutInSeconds":90`) {
							t.Errorf("body %s", body)
						}
						startedAt(w, started.status, started.body)
						return
					}
					if r.URL.Path != poolPath+"/executions/e1" {
						t.Errorf("asked at %s", r.URL.Path)
					}
					if polls++; polls < 8 {
						_, _ = io.WriteString(w, started.body)
						return
					}
					_, _ = io.WriteString(w, `{"id":"e1","status":"Succeeded","result":{"stdout":"0123456789","executionResult":4}}`)
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // which does not bound the run
				defer cancel()
				e, err := client.StartExecution(ctx, identifier, sessions.ExecuteRequest{Code: "4", Timeout: 90 * time.Second, MaxStreamChars: 10})
				if err != nil || e.ID != "e1" || e.Status.Ended() || e.Stdout != "" {
					t.Fatalf("started %+v, %v", e, err)
				}
				begin := time.Now()
				e, err = client.WaitExecution(ctx, identifier, e)
				if err != nil || e.ResultText() != "4" || !e.Truncated {
					t.Fatalf("ended %+v, %v", e, err)
				}
				// 0.25+0.5+1+2+4+5+5, more or less a fifth
				if took := time.Since(begin); took < 14*time.Second || took > 22*time.Second {
					t.Errorf("8 looks took %v", took)
				}
			})
		})
	}
}

func TestWaitObeysRetryAfterAndContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := script(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			_, _ = io.WriteString(w, `{"id":"e1","status":"Running"}`)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := client.WaitExecution(ctx, identifier, &sessions.Execution{ID: "e1"})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 45*time.Second {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
	})
}

func TestWaitOfEnded(t *testing.T) {
	client, count := serve(t, func(int, http.ResponseWriter, *http.Request) {})
	e := &sessions.Execution{ID: "e1", Status: sessions.Failed}
	if got, err := client.WaitExecution(t.Context(), identifier, e); got != e || err != nil || count.Load() != 0 {
		t.Errorf("WaitExecution = %v, %v after %d requests", got, err, count.Load())
	}
}

func TestGetExecution(t *testing.T) {
	client, count := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch {
		case n == 1: // is repeated
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.EscapedPath() == poolPath+"/executions/e%2F1":
			_, _ = io.WriteString(w, `{"id":"e/1","status":"Failed","result":{"stderr":"Traceback","outputStreamsMaxLength":9}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `"No execution available for operation Id: e2"`)
		}
	})
	e, err := client.GetExecution(t.Context(), identifier, "e/1")
	if err != nil || e.Failure != sessions.Raised || !e.Truncated {
		t.Errorf("GetExecution = %+v, %v", e, err)
	}
	if _, err := client.GetExecution(t.Context(), identifier, "e2"); !errors.Is(err, sessions.ErrNotFound) || errors.Is(err, sessions.ErrPoolFull) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	before := count.Load()
	for _, id := range []string{"", ".", ".."} {
		if _, err := client.GetExecution(t.Context(), identifier, id); !errors.Is(err, sessions.ErrBadRequest) || count.Load() != before {
			t.Errorf("%q: error %v", id, err)
		}
	}
}

// TestSynchronousThatIsNot has the service answer a synchronous execute with
// 202 before the end, as 2024-10-02-preview may.
func TestSynchronousThatIsNot(t *testing.T) {
	client, _ := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			startedAt(w, 202, `{"id":"e1","status":"Running"}`)
			return
		}
		_, _ = io.WriteString(w, succeeded)
	})
	e, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1+1"})
	if err != nil || e.ResultText() != "2" {
		t.Errorf("Execute = %+v, %v", e, err)
	}
}

func TestIdempotentIsRepeated(t *testing.T) {
	client, count := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			_, _ = io.WriteString(w, succeeded[:40])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			_, _ = io.WriteString(w, succeeded)
		}
	})
	if _, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1", Idempotent: true}); err != nil || count.Load() != 3 {
		t.Errorf("error %v after %d requests, want none after 3", err, count.Load())
	}
}
