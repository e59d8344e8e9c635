package queue_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/fault"
	"keyless/handler/localazure/bus"
	"keyless/handler/queue"
)

func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		m := message("j-1", "c-1")
		m.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		m.TimeToLive = time.Hour
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		got := r.receive("c-1", 1)[0]
		if got.MessageID != m.ID || *got.SessionID != m.Session || string(got.Body) != string(m.Body) || *got.ContentType != "application/json" {
			t.Errorf("received %+v", got)
		}
		if got.ApplicationProperties["traceparent"] != m.Traceparent || *got.TimeToLive != time.Hour {
			t.Errorf("received %+v", got)
		}
	})
}

func TestSendLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		m := message("j-1", "c-1")
		m.NotBefore = time.Now().Add(time.Hour)
		if err := r.sender().Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		<-time.After(59 * time.Minute)
		if n := r.Counts(jobs); n.Scheduled != 1 || n.Active != 0 {
			t.Errorf("early: %+v", n)
		}
		<-time.After(2 * time.Minute)
		if n := r.Counts(jobs); n.Scheduled != 0 || n.Active != 1 {
			t.Errorf("late: %+v", n)
		}
	})
}

// A message is stored once, however often it is sent.
func TestSendTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		for range 3 {
			if err := s.Send(t.Context(), message("j-1", "c-1")); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.Counts(jobs); n.Active != 1 || n.Duplicates != 2 {
			t.Errorf("%+v", n)
		}
	})
}

func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		m := message("j-1", "c-1")
		m.Body = make([]byte, queue.MaxBody)
		if err := s.Send(t.Context(), m); err != nil {
			t.Errorf("the largest message: %v", err)
		}
		m.ID, m.Body = "j-2", make([]byte, queue.MaxBody+1)
		want(t, s.Send(t.Context(), m), fault.TooLarge, "queue_message_too_large")

		r.AddQueue(bus.Queue{Name: "small", RequiresSession: true, MaxMessageBytes: 1000})
		m.Body = make([]byte, 2000)
		err := r.sender(func(c *queue.Config) { c.Queue = "small" }).Send(t.Context(), m)
		want(t, err, fault.TooLarge, "queue_message_too_large")
		if n := r.Counts(jobs).Accepted + r.Counts("small").Accepted; n != 1 {
			t.Errorf("%d accepted", n)
		}
	})
}

// The service stores a message and does not answer. The send ends in time, and
// a repeat does no harm.
func TestAnswerLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.OnSend(func(string, string) bus.SendFault { return bus.SendFault{Outcome: bus.StoreAndSilent} })
		began := time.Now()
		want(t, s.Send(t.Context(), message("j-1", "c-1")), fault.Unavailable, "queue_timeout")
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("took %v", took)
		}
		r.OnSend(nil)
		if err := s.Send(t.Context(), message("j-1", "c-1")); err != nil {
			t.Fatal(err)
		}
		if n := r.Counts(jobs); n.Active != 1 || n.Duplicates != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// The caller's own deadline ends a send too, and is no reason to reconnect.
func TestCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		r.OnSend(func(string, string) bus.SendFault { return bus.SendFault{Outcome: bus.Lose} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want(t, s.Send(ctx, message("j-1", "c-1")), fault.Deadline, "deadline_exceeded")
		gone, leave := context.WithCancel(t.Context())
		leave()
		want(t, s.Send(gone, message("j-1", "c-1")), fault.Canceled, "canceled")
		r.OnSend(nil)
		if err := s.Send(t.Context(), message("j-1", "c-1")); err != nil {
			t.Fatal(err)
		}
		if n := r.dials(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// The connection breaks after the message was stored: the repeat that
// azservicebus sends is dropped.
func TestCutAfterStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		cut := false
		r.OnSend(func(string, string) bus.SendFault {
			if cut {
				return bus.SendFault{}
			}
			cut = true
			return bus.SendFault{Outcome: bus.StoreAndCut}
		})
		if err := r.sender().Send(t.Context(), message("j-1", "c-1")); err != nil {
			t.Fatal(err)
		}
		if n := r.Counts(jobs); n.Active != 1 || n.Duplicates != 1 {
			t.Errorf("%+v", n)
		}
	})
}

func TestInterruptions(t *testing.T) {
	for name, interrupt := range map[string]func(*rig){
		"cut":    func(r *rig) { r.CutConnections() },
		"close":  func(r *rig) { r.CloseConnections() },
		"detach": func(r *rig) { r.DetachLinks() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				s := r.sender()
				for i := range 3 {
					if err := s.Send(t.Context(), message(fmt.Sprint(i), "c-1")); err != nil {
						t.Fatal(err)
					}
					interrupt(r)
					synctest.Wait()
				}
				if n := r.Counts(jobs).Active; n != 3 {
					t.Errorf("%d messages", n)
				}
			})
		})
	}
}

// A connection that died without a word costs one send, not a minute of them.
func TestConnectionDiesSilently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		if err := s.Send(t.Context(), message("j-1", "c-1")); err != nil {
			t.Fatal(err)
		}
		r.kill()
		want(t, s.Send(t.Context(), message("j-2", "c-1")), fault.Unavailable, "queue_timeout")
		began := time.Now()
		if err := s.Send(t.Context(), message("j-2", "c-1")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second || r.dials() != 2 {
			t.Errorf("took %v, %d connections", took, r.dials())
		}
		r.kill() // a moment after the last time: once more for nothing, then it goes on
		for errs := 0; s.Send(t.Context(), message("j-3", "c-1")) != nil; errs++ {
			if errs == 2 {
				t.Fatal("it does not recover")
			}
		}
	})
}

func TestLongIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		for i := range 5 {
			if err := s.Send(t.Context(), message(fmt.Sprint(i), "c-1")); err != nil {
				t.Fatal(err)
			}
			<-time.After(50 * time.Minute) // tokens run out meanwhile
		}
		if r.dials() != 1 {
			t.Errorf("%d connections", r.dials())
		}
	})
}

func TestWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		s.Warm(t.Context())
		synctest.Wait()
		if err := s.Checked(); err != nil || r.dials() != 1 {
			t.Errorf("%v, %d connections", err, r.dials())
		}
		if n := r.Counts(jobs).Accepted; n != 0 {
			t.Errorf("%d messages sent", n)
		}
	})
}

// Close waits for the sends under way and takes no more.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		r.OnSend(func(string, string) bus.SendFault { return bus.SendFault{Delay: time.Second} })
		sent := make(chan error, 1)
		go func() { sent <- s.Send(t.Context(), message("j-1", "c-1")) }()
		synctest.Wait()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-sent; err != nil {
			t.Errorf("the send under way: %v", err)
		}
		want(t, s.Send(t.Context(), message("j-2", "c-1")), fault.Unavailable, "queue_closed")
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
}

// Close ends though the service is silent.
func TestCloseBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.sender()
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Silence(true)
		defer r.Silence(false)
		began := time.Now()
		_ = s.Close(t.Context())
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
