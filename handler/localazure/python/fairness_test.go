package python

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestBusySessionsDoNotStarveOthers has 32 sessions compute without end, and
// another answer short questions meanwhile.
func TestBusySessionsDoNotStarveOthers(t *testing.T) {
	const busy, limit, late = 32, 2 * time.Second, 5 * time.Second
	e := openEngine(t, Config{MemoryLimit: minMemory})
	sessions := startMany(t, e, busy+1)
	light, sessions := sessions[0], sessions[1:]
	var computing sync.WaitGroup
	for _, s := range sessions {
		computing.Go(func() {
			o, err := s.Run(t.Context(), Request{Code: "n = 0\nwhile True: n += 1", Timeout: limit})
			if err != nil || o.Ending != Interrupted || o.Duration > limit+late {
				t.Errorf("a busy session ended as %s after %v (%v), want interrupted after %v", o.Ending, o.Duration, err, limit)
			}
		})
	}
	finished := make(chan struct{})
	go func() { computing.Wait(); close(finished) }()
	answers := 0
	for open := true; open; answers++ {
		if o := runFor(t, light, "1+1", time.Minute); o.Value == nil || *o.Value != "2" || o.Duration > late {
			t.Errorf("beside busy sessions 1+1 ended as %s after %v", o.Ending, o.Duration)
		}
		select {
		case <-finished:
			open = false
		default:
		}
	}
	t.Logf("%d answers beside busy sessions", answers)
	var progress []int
	for _, s := range sessions {
		n, err := strconv.Atoi(value(t, s, "n"))
		must(t, err)
		progress = append(progress, n)
	}
	if least, most := slices.Min(progress), slices.Max(progress); least < most/10 {
		t.Errorf("one busy session counted to %d, another to %d", least, most)
	}
}

// startMany returns sessions that were all asked for at once.
func startMany(t *testing.T, e *Engine, n int) []*Session {
	t.Helper()
	sessions := make([]*Session, n)
	var starting sync.WaitGroup
	for i := range sessions {
		dir := t.TempDir()
		starting.Go(func() {
			s, err := e.Start(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			sessions[i] = s
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return sessions
}
