package trigger_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/host"
	"keyless/handler/localazure/bus"
	"keyless/handler/localazure/trigger"
)

func TestDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		r := newRig(t, bus.Queue{}, func(w http.ResponseWriter, r *http.Request) {
			calls++
			e := envelope(t, r)
			if body, err := e.Message("msg"); err != nil || string(body) != `{"job":"j-1"}` {
				t.Errorf("body %s, %v", body, err)
			}
			if e.Text("MessageId") != "j-1" || e.Text("SessionId") != "c-1" || e.Text("DeliveryCount") != "1" || e.Text("SequenceNumber") != "1" {
				t.Errorf("metadata %s", e.Metadata)
			}
			if at, ok := e.Time("EnqueuedTimeUtc"); !ok || time.Since(at).Abs() > time.Minute {
				t.Errorf("EnqueuedTimeUtc = %v, %v", at, ok)
			}
			call := host.CallOf(r)
			if r.URL.Path != "/run-job" || r.ContentLength != -1 || call.Traceparent != parent || len(r.Header.Get("X-Azure-Functions-InvocationId")) != 36 {
				t.Errorf("request %s, %d bytes, %v", r.URL, r.ContentLength, r.Header)
			}
			host.WriteDone(w)
		})
		r.start()
		r.send("j-1", "c-1")
		pass(time.Minute)
		if n := r.Counts(jobs); calls != 1 || n.Completed != 1 || n.Active != 0 {
			t.Errorf("%d calls, %+v", calls, n)
		}
	})
}

// A function that fails gets the message again at once, ahead of those behind
// it, until its deliveries are used up.
func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		r := newRig(t, bus.Queue{MaxDeliveryCount: 3}, func(w http.ResponseWriter, r *http.Request) {
			e := envelope(t, r)
			seen = append(seen, e.Text("MessageId")+"/"+e.Text("DeliveryCount"))
			if e.Text("MessageId") == "j-1" {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			host.WriteDone(w)
		})
		r.send("j-1", "c-1")
		r.send("j-2", "c-1")
		began := time.Now()
		r.start()
		pass(time.Second / 2)
		if want := []string{"j-1/1", "j-1/2", "j-1/3", "j-2/1"}; !slices.Equal(seen, want) {
			t.Errorf("after %v saw %q, want %q", time.Since(began), seen, want)
		}
		if n := r.Counts(jobs); n.DeadLettered != 1 || n.Completed != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// In each session one message at a time and in order, sessions side by side.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := map[string]bool{}, 0
		seen := map[string][]string{}
		r := newRig(t, bus.Queue{}, func(w http.ResponseWriter, r *http.Request) {
			e := envelope(t, r)
			session := e.Text("SessionId")
			mu.Lock()
			if running[session] {
				t.Errorf("two at once in %s", session)
			}
			running[session] = true
			most = max(most, len(running))
			seen[session] = append(seen[session], e.Text("MessageId"))
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			delete(running, session)
			mu.Unlock()
			host.WriteDone(w)
		})
		var sent []string
		for i := range 10 {
			sent = append(sent, fmt.Sprintf("j-%02d", i))
			for session := range 6 {
				r.send(fmt.Sprintf("j-%02d", i), fmt.Sprintf("c-%d", session))
			}
		}
		two := func(c *trigger.Config) { c.MaxConcurrentSessions = 2 }
		r.start(two)
		r.start(two) // another instance
		pass(5 * time.Minute)
		for session := range 6 {
			if got := seen[fmt.Sprintf("c-%d", session)]; !slices.Equal(got, sent) {
				t.Errorf("session %d: %q", session, got)
			}
		}
		if most != 4 {
			t.Errorf("at most %d at once", most)
		}
	})
}

// On an answer that is none the host waits until the function's time-out.
func TestEmptyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		r := newRig(t, bus.Queue{}, func(w http.ResponseWriter, r *http.Request) {
			at = append(at, time.Since(began).Round(time.Minute))
			if len(at) == 2 {
				host.WriteDone(w)
			}
		})
		r.send("j-1", "c-1")
		r.start(func(c *trigger.Config) { c.FunctionTimeout, c.MaxAutoLockRenewal = 10*time.Minute, 10*time.Minute })
		pass(15 * time.Minute)
		if want := []time.Duration{0, 10 * time.Minute}; !slices.Equal(at, want) {
			t.Errorf("called at %v, want %v", at, want)
		}
		if n := r.Counts(jobs); n.Abandoned != 1 || n.Completed != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// A message is kept for as long as its lock may be renewed. After that it is
// delivered a second time, beside the first.
func TestLockRenewal(t *testing.T) {
	for renewal, want := range map[time.Duration]int{10 * time.Minute: 1, time.Minute: 2} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			running, most, calls := 0, 0, 0
			count := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				running += n
				calls += max(n, 0)
				most = max(most, running)
			}
			r := newRig(t, bus.Queue{LockDuration: 30 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
				count(1)
				defer count(-1)
				if strings.Contains(envelope(t, r).Text("DeliveryCount"), "1") {
					<-time.After(5 * time.Minute)
				}
				host.WriteDone(w)
			})
			r.send("j-1", "c-1")
			r.start(func(c *trigger.Config) { c.MaxAutoLockRenewal = renewal })
			pass(20 * time.Minute)
			n := r.Counts(jobs)
			if calls != want || most != want || n.Completed != 1 || n.LocksLost != int64(want-1) {
				t.Errorf("renewal for %v: %d calls, %d at once, %+v", renewal, calls, most, n)
			}
		})
	}
}

// Stopping cancels the call in flight and gives its message back.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, bus.Queue{}, func(w http.ResponseWriter, r *http.Request) {
			envelope(t, r)
			<-r.Context().Done()
		})
		stop := r.start()
		r.send("j-1", "c-1")
		pass(time.Second)
		if n := r.Counts(jobs); n.Locked != 1 {
			t.Errorf("%+v", n)
		}
		began := time.Now()
		stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
		if n := r.Counts(jobs); n.Active != 1 || n.Locked != 0 || n.Sessions != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// The pump stops though the broker is silent.
func TestStopBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, bus.Queue{}, done)
		stop := r.start()
		pass(time.Second)
		r.Silence(true)
		defer r.Silence(false)
		began := time.Now()
		stop()
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// The broker goes and comes back while there is work.
func TestInterruptions(t *testing.T) {
	for name, interrupt := range map[string]func(*rig){
		"cut":    func(r *rig) { r.CutConnections() },
		"close":  func(r *rig) { r.CloseConnections() },
		"detach": func(r *rig) { r.DetachLinks() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				finished := map[string]bool{}
				r := newRig(t, bus.Queue{LockDuration: 30 * time.Second, MaxDeliveryCount: 100}, func(w http.ResponseWriter, r *http.Request) {
					e := envelope(t, r)
					<-time.After(700 * time.Millisecond)
					mu.Lock()
					finished[e.Text("MessageId")] = true
					mu.Unlock()
					host.WriteDone(w)
				})
				r.start()
				for i := range 20 {
					r.send(fmt.Sprintf("j-%02d", i), fmt.Sprintf("c-%d", i%4))
				}
				for range 5 {
					pass(time.Second)
					interrupt(r)
				}
				pass(10 * time.Minute)
				if n := r.Counts(jobs); len(finished) != 20 || n.Completed != 20 || n.Active+n.Locked+n.DeadLettered != 0 {
					t.Errorf("%d finished, %+v", len(finished), n)
				}
			})
		})
	}
}

// A pump that is refused asks again each second, until it is let in.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, bus.Queue{}, done)
		r.send("j-1", "c-1")
		asked := 0
		r.OnToken(func(string) bus.TokenFault {
			asked++
			return bus.TokenFault{Status: http.StatusUnauthorized}
		})
		r.start(func(c *trigger.Config) { c.MaxConcurrentSessions = 1 })
		pass(time.Minute)
		if asked < 30 || asked > 61 {
			t.Errorf("asked %d times in a minute", asked)
		}
		r.OnToken(nil)
		pass(2 * time.Second)
		if n := r.Counts(jobs); n.Completed != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// With nothing to do the pump asks for a session every minute and holds on to
// nothing.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		r := newRig(t, bus.Queue{}, func(w http.ResponseWriter, r *http.Request) {
			calls++
			host.WriteDone(w)
		})
		r.start()
		pass(3 * time.Hour)
		r.send("j-1", "c-1")
		pass(time.Second)
		if calls != 1 {
			t.Errorf("%d calls within a second, after hours of nothing", calls)
		}
	})
}
