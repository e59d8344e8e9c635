package sessions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"keyless/handler/sessions"
)

func execute(t *testing.T, s *sessions.Session) *sessions.Execution {
	t.Helper()
	e, err := s.Execute(t.Context(), sessions.ExecuteRequest{Code: "1"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// containers is a pool whose executions run in the container of that name, and
// whose sessions have that etag.
type containers struct{ guid, etag, stderr string }

func (c *containers) answer(_ int, w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		w.Header().Set("X-Ms-Session-Guid", c.guid)
		status := "Succeeded"
		if c.stderr != "" {
			status = "Failed"
		}
		_, _ = fmt.Fprintf(w, `{"status":%q,"result":{"stderr":%q}}`, status, c.stderr)
	case c.etag == "":
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"code":"SessionWithIdentifierNotFound"}}`)
	default:
		_, _ = fmt.Fprintf(w, `{"etag":%q}`, c.etag)
	}
}

func TestSessionNoticesLoss(t *testing.T) {
	pool := &containers{guid: "a"}
	client, _ := serve(t, pool.answer)
	s := client.Session(identifier, nil)
	for n, step := range []struct {
		guid, stderr string
		want         sessions.Loss
	}{
		{"a", "", sessions.NothingLost},
		{"a", "", sessions.NothingLost},
		{"b", "", sessions.EverythingLost},
		{"b", "", sessions.NothingLost},
		{"", "", sessions.NothingLost},
		{"b", "Kernel restarted", sessions.VariablesLost},
		{"b", "", sessions.NothingLost},
		{"c", "Kernel restarted", sessions.EverythingLost},
	} {
		pool.guid, pool.stderr = step.guid, step.stderr
		if e := execute(t, s); e.Lost != step.want {
			t.Errorf("step %d: lost %q, want %q", n, e.Lost, step.want)
		}
	}
	pool.guid, pool.stderr = "d", ""
	if e := execute(t, client.Session(identifier, &sessions.SessionOptions{Container: s.Container()})); e.Lost != sessions.EverythingLost {
		t.Errorf("across handles: lost %q", e.Lost)
	}
}

// TestSessionNoticesLossByETag has a pool that does not name the container
// with an execution.
func TestSessionNoticesLossByETag(t *testing.T) {
	pool := &containers{}
	client, _ := serve(t, pool.answer)
	s := client.Session(identifier, nil)
	if _, err := s.Info(t.Context()); !errors.Is(err, sessions.ErrSessionGone) {
		t.Errorf("error %v, want ErrSessionGone", err)
	}
	for n, step := range []struct {
		etag string
		want sessions.Loss
	}{
		{"a", sessions.NothingLost}, {"a", sessions.NothingLost}, {"b", sessions.EverythingLost}, {"b", sessions.NothingLost}, {"", sessions.EverythingLost},
	} {
		pool.etag = step.etag
		_, _ = s.Info(t.Context())
		if e := execute(t, s); e.Lost != step.want {
			t.Errorf("step %d: lost %q, want %q", n, e.Lost, step.want)
		}
	}
}

func TestSessionRunsOneAtATime(t *testing.T) {
	var running, most atomic.Int32
	client, count := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer running.Add(-1)
		_, _ = io.WriteString(w, succeeded)
	})
	s := client.NewSession(nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { execute(t, s) })
	}
	all.Wait()
	if most.Load() != 1 || count.Load() != 20 {
		t.Errorf("%d at once of %d", most.Load(), count.Load())
	}
}

// stuck is a pool whose executions end only with their request, and that has
// no session to delete. It tells what it was asked.
func stuck(asked chan<- string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, r *http.Request) {
		asked <- r.Method
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		<-r.Context().Done()
	}
}

func TestEndOnCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deleting, deleted := make(chan struct{}), make(chan struct{})
		var posts atomic.Int32
		client := script(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				close(deleting)
				<-deleted
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.Header().Set("X-Ms-Session-Guid", "a")
			if posts.Add(1) == 2 {
				<-r.Context().Done()
			}
			_, _ = io.WriteString(w, succeeded)
		})
		s := client.Session(identifier, &sessions.SessionOptions{EndOnCancel: true})
		execute(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := s.Execute(ctx, sessions.ExecuteRequest{Code: "while True: pass"})
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want Canceled", err)
		}
		<-deleting // Execute has returned before
		var next *sessions.Execution
		go func() { next = execute(t, s); close(ended) }()
		synctest.Wait()
		if posts.Load() != 2 {
			t.Error("the next execution did not wait for the end of the session")
		}
		close(deleted)
		<-ended
		if next.Lost != sessions.EverythingLost {
			t.Errorf("lost %q", next.Lost)
		}
		// One that has not begun ends nothing: a second delete would panic.
		if _, err := s.Execute(ctx, sessions.ExecuteRequest{Code: "1"}); !errors.Is(err, context.Canceled) || posts.Load() != 3 {
			t.Errorf("error %v, want Canceled", err)
		}
	})
}

func TestCloseEndsWhatRuns(t *testing.T) {
	asked := make(chan string, 10)
	client, _ := serve(t, stuck(asked))
	s := client.NewSession(nil)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Execute(context.Background(), sessions.ExecuteRequest{Code: "1"})
		ended <- err
	}()
	if got := <-asked; got != http.MethodPost {
		t.Fatal(got)
	}
	for range 2 {
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-asked; got != http.MethodDelete {
			t.Fatal(got)
		}
	}
	if err := <-ended; !errors.Is(err, sessions.ErrSessionGone) || errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want ErrSessionGone", err)
	}
	if _, err := s.Execute(t.Context(), sessions.ExecuteRequest{Code: "1"}); !errors.Is(err, sessions.ErrSessionGone) || len(asked) > 0 {
		t.Errorf("error %v after Close, want ErrSessionGone", err)
	}
}

func TestSessionIsRedacted(t *testing.T) {
	client, _ := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) })
	s := client.Session(identifier, nil)
	info, err := s.Info(t.Context())
	if err != nil || info.Identifier != identifier || s.Identifier() != identifier {
		t.Fatal(info, err)
	}
	var text bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		_, _ = fmt.Fprintf(&text, verb+verb+verb+verb, s, struct{ S any }{s}, info, struct{ I sessions.SessionInfo }{*info})
	}
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "s", s, "i", info, "v", *info)
	slog.New(slog.NewJSONHandler(&text, nil)).Info("x", "s", s, "i", info, "v", *info)
	data, err := json.Marshal(struct{ S any }{s})
	text.Write(data)
	if err != nil || strings.Contains(text.String(), identifier) || !strings.Contains(text.String(), s.String()) {
		t.Errorf("text %s, %v", text.String(), err)
	}
}

func TestIdentifiers(t *testing.T) {
	client, _ := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, succeeded) })
	secret := []byte("0123456789abcdef")
	derive := func(secret []byte, owner ...string) string {
		t.Helper()
		got, err := sessions.DeriveIdentifier(secret, owner...)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	one := derive(secret, "ab", "c")
	if one != derive(secret, "ab", "c") {
		t.Error("it is not the same each time")
	}
	seen := map[string]bool{}
	for _, got := range []string{one, derive(secret, "a", "bc"), derive(secret, "abc"), derive(secret), derive(append(secret, 'x'), "ab", "c"),
		sessions.NewIdentifier(), sessions.NewIdentifier(), client.NewSession(nil).Identifier()} {
		if seen[got] {
			t.Errorf("%s comes twice", got)
		}
		seen[got] = true
		execute(t, client.Session(got, nil))
	}
	if _, err := sessions.DeriveIdentifier(secret[1:], "a"); err == nil {
		t.Error("a short secret is taken")
	}
}
