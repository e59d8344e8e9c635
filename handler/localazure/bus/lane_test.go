package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/localazure/bus"
)

// next accepts the next free session, within 10 s.
func next(t *testing.T, c *azservicebus.Client, queue string) (*azservicebus.SessionReceiver, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.AcceptNextSessionForQueue(ctx, queue, nil)
}

func accept(t *testing.T, c *azservicebus.Client, queue, session string) *azservicebus.SessionReceiver {
	t.Helper()
	r, err := next(t, c, queue)
	must(t, "accept "+session, err)
	if r.SessionID() != session {
		t.Fatalf("accepted session %s, want %s", r.SessionID(), session)
	}
	return r
}

func TestSessionsAreInOrderAndExclusive(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", RequiresSession: true})
		one, two := client(t, b), client(t, b)
		s := sender(t, one, "q")
		for i := range 3 {
			send(t, s, fmt.Sprint("a", i), session("a"))
			send(t, s, fmt.Sprint("b", i), session("b"))
		}
		ra, rb := accept(t, one, "q", "a"), accept(t, two, "q", "b")
		_, err := next(t, two, "q")
		wantCode(t, err, azservicebus.CodeTimeout)
		if _, err := two.AcceptSessionForQueue(t.Context(), "q", "a", nil); err == nil {
			t.Fatal("a held session was accepted again")
		}
		for i := range 3 {
			a, b := receive(t, ra, fmt.Sprint("a", i)), receive(t, rb, fmt.Sprint("b", i))
			must(t, "abandon", ra.AbandonMessage(t.Context(), a, nil))
			a = receive(t, ra, fmt.Sprint("a", i)) // not the next one
			must(t, "complete", ra.CompleteMessage(t.Context(), a, nil))
			must(t, "complete", rb.CompleteMessage(t.Context(), b, nil))
		}
		nothing(t, ra)
		if got := b.Counts("q"); got.Completed != 6 || got.Sessions != 2 || got.Active != 0 {
			t.Errorf("counts: %+v", got)
		}
	})
}

func TestClosedSessionIsFreeAtOnce(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", RequiresSession: true})
		one, two := client(t, b), client(t, b)
		s := sender(t, one, "q")
		send(t, s, "m0", session("s"))
		send(t, s, "m1", session("s"))
		r := accept(t, one, "q", "s")
		got, err := r.ReceiveMessages(t.Context(), 2, nil)
		if err != nil || len(got) != 2 {
			t.Fatalf("received %d: %v", len(got), err)
		}
		must(t, "close", r.Close(t.Context()))
		r = accept(t, two, "q", "s")
		for i := range 2 {
			if m := receive(t, r, fmt.Sprint("m", i)); m.DeliveryCount != 1 {
				t.Errorf("delivery %d; a session's close does not count", m.DeliveryCount)
			}
		}
	})
}

func TestSessionLockRunsOut(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", RequiresSession: true, LockDuration: 5 * time.Second})
		one, two := client(t, b), client(t, b)
		send(t, sender(t, one, "q"), "m", session("s"))
		r := accept(t, one, "q", "s")
		m := receive(t, r, "m")
		for range 20 { // renewed, it holds
			<-time.After(4 * time.Second)
			must(t, "renew", r.RenewSessionLock(t.Context(), nil))
			if left := time.Until(r.LockedUntil()); left < 4*time.Second {
				t.Fatalf("renewed for %s only", left)
			}
		}
		other := accept(t, two, "q", "s") // waits until the lock is over
		again := receive(t, other, "m")
		if again.DeliveryCount != 2 {
			t.Errorf("delivery %d, want 2", again.DeliveryCount)
		}
		must(t, "complete", other.CompleteMessage(t.Context(), again, nil))
		if err := r.CompleteMessage(t.Context(), m, nil); err == nil {
			t.Error("a message was completed after its session's lock was lost")
		}
		if got := b.Counts("q"); got.Completed != 1 || got.LocksLost != 1 {
			t.Errorf("counts: %+v", got)
		}
	})
}

// A receiver that waits for a session gets one as soon as a message comes.
func TestWaitForASession(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", RequiresSession: true})
		c := client(t, b)
		s := sender(t, client(t, b), "q")
		go func() {
			<-time.After(4 * time.Second)
			_ = s.SendMessage(context.Background(), message("m", session("s")), nil)
		}()
		start := time.Now()
		r := accept(t, c, "q", "s")
		if waited := time.Since(start); waited < 4*time.Second || waited > 5*time.Second {
			t.Errorf("waited %s", waited)
		}
		receive(t, r, "m")
	})
}

func TestSessionDeadLetterAndSchedule(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", RequiresSession: true, MaxDeliveryCount: 2})
		c := client(t, b)
		s := sender(t, c, "q")
		send(t, s, "poison", session("s"))
		_, err := s.ScheduleMessages(t.Context(), []*azservicebus.Message{message("later", session("s"))}, time.Now().Add(5*time.Second), nil)
		must(t, "schedule", err)
		r := accept(t, c, "q", "s")
		for range 2 {
			must(t, "abandon", r.AbandonMessage(t.Context(), receive(t, r, "poison"), nil))
		}
		receive(t, r, "later")
		m := wantDead(t, deadLetters(t, c, "q"), "poison", "MaxDeliveryCountExceeded")
		if *m.SessionID != "s" {
			t.Errorf("session %q", *m.SessionID)
		}
	})
}

// Whoever asks for a session must need one, and the other way round.
func TestWrongSortOfReceiver(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "sessions", RequiresSession: true})
		b.AddQueue(bus.Queue{Name: "plain"})
		c := client(t, b)
		if _, err := receiver(t, c, "sessions", nil).ReceiveMessages(t.Context(), 1, nil); err == nil {
			t.Error("a receiver without a session was let in")
		}
		if _, err := next(t, c, "plain"); err == nil {
			t.Error("a queue without sessions gave one")
		}
	})
}
