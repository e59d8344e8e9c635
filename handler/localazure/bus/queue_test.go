package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/localazure/bus"
)

func deadLetters(t *testing.T, c *azservicebus.Client, queue string) *azservicebus.Receiver {
	t.Helper()
	return receiver(t, c, queue, &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
}

// wantDead receives a dead letter and checks its reason.
func wantDead(t *testing.T, r *azservicebus.Receiver, body, reason string) *azservicebus.ReceivedMessage {
	t.Helper()
	m := receive(t, r, body)
	if m.DeadLetterReason == nil || *m.DeadLetterReason != reason {
		t.Fatalf("dead letter reason %v, want %s", m.DeadLetterReason, reason)
	}
	return m
}

func TestLockRunsOut(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", LockDuration: 10 * time.Second})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		send(t, s, "m")
		first := receive(t, r, "m")
		nothing(t, r)
		start := time.Now()
		second := receive(t, r, "m")
		if waited := time.Since(start); waited < 8*time.Second || waited > 10*time.Second {
			t.Errorf("redelivered after %s, want some 9s", waited)
		}
		if second.DeliveryCount != 2 || second.LockToken == first.LockToken {
			t.Errorf("redelivery: count %d, tokens %x and %x", second.DeliveryCount, first.LockToken, second.LockToken)
		}
		wantCode(t, r.CompleteMessage(t.Context(), first, nil), azservicebus.CodeLockLost)
		wantCode(t, r.RenewMessageLock(t.Context(), first, nil), azservicebus.CodeLockLost)
		must(t, "complete", r.CompleteMessage(t.Context(), second, nil))
		if got := b.Counts("q"); got.LocksLost != 1 || got.Completed != 1 || got.Settlements != 2 {
			t.Errorf("counts: %+v", got)
		}
	})
}

func TestRenewedLockHolds(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", LockDuration: 3 * time.Second})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		other := receiver(t, client(t, b), "q", nil)
		send(t, s, "m")
		m := receive(t, r, "m")
		for range 60 {
			nothing(t, other)
			nothing(t, other)
			must(t, "renew", r.RenewMessageLock(t.Context(), m, nil))
			if left := time.Until(*m.LockedUntil); left < 2*time.Second {
				t.Fatalf("renewed for %s only", left)
			}
		}
		must(t, "complete", r.CompleteMessage(t.Context(), m, nil))
	})
}

func TestAbandonRedeliversAtOnceUntilDeadLetter(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", MaxDeliveryCount: 3})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		send(t, s, "poison")
		send(t, s, "next")
		start := time.Now()
		for n := range 3 {
			m := receive(t, r, "poison") // before the message that came after it
			if m.DeliveryCount != uint32(n+1) {
				t.Errorf("delivery %d says %d", n+1, m.DeliveryCount)
			}
			must(t, "abandon", r.AbandonMessage(t.Context(), m, nil))
		}
		if waited := time.Since(start); waited > time.Second {
			t.Errorf("three deliveries took %s", waited)
		}
		receive(t, r, "next")
		d := deadLetters(t, c, "q")
		m := wantDead(t, d, "poison", "MaxDeliveryCountExceeded")
		must(t, "abandon the dead letter", d.AbandonMessage(t.Context(), m, nil))
		if got := b.Counts("q"); got.DeadLettered != 1 || got.Abandoned != 3 {
			t.Errorf("counts: %+v", got)
		}
		must(t, "complete the dead letter", d.CompleteMessage(t.Context(), receive(t, d, "poison"), nil))
		if got := b.Counts("q"); got.DeadLettered != 0 {
			t.Errorf("counts: %+v", got)
		}
	})
}

func TestDeadLetterOnPurpose(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		send(t, s, "m")
		reason, description := "BadJob", "no such conversation"
		must(t, "dead-letter", r.DeadLetterMessage(t.Context(), receive(t, r, "m"),
			&azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description}))
		m := wantDead(t, deadLetters(t, c, "q"), "m", "BadJob")
		if *m.DeadLetterErrorDescription != description {
			t.Errorf("description %q", *m.DeadLetterErrorDescription)
		}
		dead, err := c.NewSender("q/$DeadLetterQueue", nil)
		must(t, "make a sender", err)
		if err := dead.SendMessage(t.Context(), message("x"), nil); err == nil {
			t.Error("a dead-letter queue took a message from a sender")
		}
	})
}

func TestDuplicatesAreDroppedWithinTheWindow(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", DuplicateDetection: 10 * time.Minute})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		send(t, s, "m")
		must(t, "complete", r.CompleteMessage(t.Context(), receive(t, r, "m"), nil))
		send(t, s, "m")
		if got := b.Counts("q"); got.Duplicates != 1 || got.Active != 0 || got.Accepted != 2 {
			t.Errorf("counts: %+v", got)
		}
		<-time.After(10 * time.Minute)
		send(t, s, "m")
		receive(t, r, "m")
	})
}

func TestScheduledMessages(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		due := time.Now().Add(30 * time.Second)
		numbers, err := s.ScheduleMessages(t.Context(), []*azservicebus.Message{message("a"), message("b")}, due, nil)
		must(t, "schedule", err)
		send(t, s, "c", func(m *azservicebus.Message) { m.ScheduledEnqueueTime = &due })
		if got := b.Counts("q"); got.Scheduled != 3 || got.Active != 0 {
			t.Errorf("counts: %+v", got)
		}
		must(t, "cancel", s.CancelScheduledMessages(t.Context(), numbers[:1], nil))
		nothing(t, r)
		for _, body := range []string{"b", "c"} {
			m := receive(t, r, body)
			if time.Now().Before(due) || m.EnqueuedTime.Before(due.Add(-time.Second)) || !m.ScheduledEnqueueTime.Equal(due) {
				t.Errorf("%s: enqueued %s, due %s, %s", body, m.EnqueuedTime, m.ScheduledEnqueueTime, due)
			}
		}
		nothing(t, r)
		if err := s.CancelScheduledMessages(t.Context(), numbers[:1], nil); err == nil {
			t.Error("a canceled message was canceled again")
		}
	})
}

func TestTimeToLive(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", DefaultTimeToLive: time.Hour, DeadLetterOnExpiration: true, LockDuration: 5 * time.Minute})
		b.AddQueue(bus.Queue{Name: "drops"})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		short := time.Minute
		brief := func(m *azservicebus.Message) { m.TimeToLive = &short }
		send(t, s, "locked", brief)
		m := receive(t, r, "locked")
		if m.ExpiresAt.Sub(*m.EnqueuedTime) != short {
			t.Errorf("enqueued %s, expires %s", m.EnqueuedTime, m.ExpiresAt)
		}
		send(t, s, "brief", brief)
		send(t, s, "long")
		<-time.After(short + time.Second)
		d := deadLetters(t, c, "q")
		must(t, "complete", d.CompleteMessage(t.Context(), wantDead(t, d, "brief", "TTLExpiredException"), nil))
		must(t, "give back", r.AbandonMessage(t.Context(), m, nil))
		must(t, "complete", d.CompleteMessage(t.Context(), wantDead(t, d, "locked", "TTLExpiredException"), nil))
		if got := b.Counts("q"); got.Expired != 2 || got.Active != 1 {
			t.Errorf("counts: %+v", got)
		}
		<-time.After(time.Hour)
		wantDead(t, d, "long", "TTLExpiredException")

		send(t, sender(t, c, "drops"), "m", brief)
		<-time.After(short + time.Second)
		if got := b.Counts("drops"); got.Expired != 1 || got.Active+got.DeadLettered != 0 {
			t.Errorf("counts: %+v", got)
		}
	})
}

func TestBatchIsAllOrNothing(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		b.AddQueue(bus.Queue{Name: "sessions", RequiresSession: true})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		batch, err := s.NewMessageBatch(t.Context(), nil)
		must(t, "make a batch", err)
		for i := range 100 {
			must(t, "add", batch.AddMessage(message(fmt.Sprint("m", i)), nil))
		}
		must(t, "send the batch", s.SendMessageBatch(t.Context(), batch, nil))
		got, err := r.ReceiveMessages(t.Context(), 100, nil)
		if err != nil || len(got) != 100 || string(got[99].Body) != "m99" {
			t.Fatalf("received %d: %v", len(got), err)
		}

		s = sender(t, c, "sessions")
		batch, err = s.NewMessageBatch(t.Context(), nil)
		must(t, "make a batch", err)
		must(t, "add", batch.AddMessage(message("has", session("s")), nil))
		must(t, "add", batch.AddMessage(message("has not"), nil))
		if err := s.SendMessageBatch(t.Context(), batch, nil); err == nil {
			t.Error("a queue that requires sessions took a message without")
		}
		if got := b.Counts("sessions"); got.Accepted != 0 {
			t.Errorf("counts: %+v", got)
		}
	})
}

// A message of many frames arrives whole, and one that is too large is
// refused by the limit that the link told the client.
func TestLargeMessages(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		large := strings.Repeat("x", 255<<10)
		must(t, "send", s.SendMessage(t.Context(), &azservicebus.Message{Body: []byte(large)}, nil))
		got, err := r.ReceiveMessages(t.Context(), 1, nil)
		if err != nil || string(got[0].Body) != large {
			t.Fatalf("received %d messages: %v", len(got), err)
		}
		err = s.SendMessage(t.Context(), &azservicebus.Message{Body: []byte(large + large)}, nil)
		if !errors.Is(err, azservicebus.ErrMessageTooLarge) {
			t.Fatalf("got %v, want too large", err)
		}
		send(t, s, "m")
		receive(t, r, "m")
	})
}

func TestReceiveAndDelete(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s := sender(t, c, "q")
		send(t, s, "m")
		receive(t, receiver(t, c, "q", &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete}), "m")
		if got := b.Counts("q"); got.Completed != 1 || got.Locked != 0 {
			t.Errorf("counts: %+v", got)
		}
	})
}

// A message that arrives after its receiver stopped waiting is released by the
// client, uncounted, and goes to the next receiver.
func TestReleasedMessageIsNotCounted(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s, idle, r := sender(t, c, "q"), receiver(t, c, "q", nil), receiver(t, client(t, b), "q", nil)
		nothing(t, idle) // leaves a credit behind
		send(t, s, "m")
		if m := receive(t, r, "m"); m.DeliveryCount != 1 {
			t.Errorf("delivery %d", m.DeliveryCount)
		}
		if got := b.Counts("q"); got.Released != 1 || got.Delivered != 2 {
			t.Errorf("counts: %+v", got)
		}
	})
}

// A lock outlives its link: the message can be settled over $management.
func TestSettleAfterTheLinkIsGone(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		send(t, s, "m")
		m := receive(t, r, "m")
		must(t, "close", r.Close(t.Context()))
		r = receiver(t, client(t, b), "q", nil)
		nothing(t, r)
		must(t, "complete", r.CompleteMessage(t.Context(), &azservicebus.ReceivedMessage{LockToken: m.LockToken}, nil))
		if got := b.Counts("q"); got.Completed != 1 || got.Locked != 0 {
			t.Errorf("counts: %+v", got)
		}
	})
}

func TestPeek(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		due := time.Now().Add(time.Hour)
		send(t, s, "locked")
		send(t, s, "active")
		send(t, s, "later", func(m *azservicebus.Message) { m.ScheduledEnqueueTime = &due })
		receive(t, r, "locked")
		got, err := r.PeekMessages(t.Context(), 10, nil)
		if err != nil || len(got) != 3 || string(got[1].Body) != "active" || got[2].State != azservicebus.MessageStateScheduled {
			t.Fatalf("peeked %d: %v", len(got), err)
		}
		got, err = r.PeekMessages(t.Context(), 10, nil)
		if err != nil || len(got) != 0 {
			t.Fatalf("peeked %d more: %v", len(got), err)
		}
	})
}

// Hours of idling, token refreshes and heartbeats included.
func TestIdleForHours(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		go func() {
			<-time.After(5 * time.Hour)
			_ = s.SendMessage(context.Background(), message("m"), nil)
		}()
		got, err := r.ReceiveMessages(t.Context(), 1, nil)
		if err != nil || len(got) != 1 {
			t.Fatalf("received %d: %v", len(got), err)
		}
	})
}
