package python

import (
	"context"
	"errors"
	"testing"
)

// TestOneWorkerIsKeptReady counts the workers around a burst of sessions.
func TestOneWorkerIsKeptReady(t *testing.T) {
	e := openEngine(t, Config{})
	coming := func() int {
		e.supply.mu.Lock()
		defer e.supply.mu.Unlock()
		return e.supply.coming
	}
	if n := coming(); n != 1 {
		t.Errorf("at first %d workers start, want 1", n)
	}
	sessions := startMany(t, e, 4)
	if n := coming(); n != 1 {
		t.Errorf("%d workers to spare after a burst, want 1", n)
	}
	for _, s := range sessions {
		if got := value(t, s, "1+1"); got != "2" {
			t.Errorf("1+1 is %s", got)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if p, err := e.supply.take(canceled); err == nil {
			p.kill() // a select takes either of two that are ready
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
	}
	if got := value(t, startIn(t, e, t.TempDir()), "1+1"); got != "2" {
		t.Errorf("then 1+1 is %s", got)
	}
}
