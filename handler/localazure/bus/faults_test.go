package bus_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"keyless/handler/localazure/bus"
)

// once returns a hook that shows fault to the first message alone.
func once(fault bus.SendFault) func(string, string) bus.SendFault {
	var calls atomic.Int32
	return func(string, string) bus.SendFault {
		if calls.Add(1) > 1 {
			return bus.SendFault{}
		}
		return fault
	}
}

func TestSendFaults(t *testing.T) {
	cases := map[string]struct {
		fault  bus.SendFault
		failed bool // the caller learns of a failure
		stored int
	}{
		"busy, then well":           {bus.SendFault{Condition: "com.microsoft:server-busy"}, false, 1},
		"full":                      {bus.SendFault{Condition: "amqp:resource-limit-exceeded"}, true, 0},
		"stored, cut, sent again":   {bus.SendFault{Outcome: bus.StoreAndCut}, false, 2},
		"stored, never answered":    {bus.SendFault{Outcome: bus.StoreAndSilent}, true, 1},
		"lost":                      {bus.SendFault{Outcome: bus.Lose}, true, 0},
		"stored, answered in time":  {bus.SendFault{Delay: 4 * time.Second}, false, 1},
		"stored, answered too late": {bus.SendFault{Delay: 6 * time.Second}, true, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
				b.AddQueue(bus.Queue{Name: "q"})
				b.OnSend(once(tc.fault))
				s := sender(t, client(t, b), "q")
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				err := s.SendMessage(ctx, message("m"), nil)
				if (err != nil) != tc.failed {
					t.Errorf("send: %v", err)
				}
				if got := b.Counts("q"); got.Active != tc.stored {
					t.Errorf("counts: %+v, want %d stored", got, tc.stored)
				}
				send(t, s, "after")
			})
		})
	}
}

func TestFullQueueSaysSo(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		b.OnSend(func(queue, id string) bus.SendFault {
			if queue != "q" || id != "m" {
				t.Errorf("hook got %q, %q", queue, id)
			}
			return bus.SendFault{Condition: "amqp:resource-limit-exceeded"}
		})
		err := sender(t, client(t, b), "q").SendMessage(t.Context(), message("m"), nil)
		if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Condition != amqp.ErrCondResourceLimitExceeded {
			t.Errorf("got %v", err)
		}
	})
}

// Whatever happens to connections and links, client and broker find together
// again, and a lock survives.
func TestDisruptions(t *testing.T) {
	disruptions := map[string]func(*bus.Broker){
		"cut":    (*bus.Broker).CutConnections,
		"close":  (*bus.Broker).CloseConnections,
		"detach": (*bus.Broker).DetachLinks,
	}
	for name, disrupt := range disruptions {
		t.Run(name, func(t *testing.T) {
			inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
				b.AddQueue(bus.Queue{Name: "q"})
				c := client(t, b)
				s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
				send(t, s, "m0")
				m := receive(t, r, "m0")
				disrupt(b)
				send(t, s, "m1")
				// By its token: azservicebus itself falls back to that if the link is gone, but not if the connection is.
				must(t, "complete", r.CompleteMessage(t.Context(), &azservicebus.ReceivedMessage{LockToken: m.LockToken}, nil))
				m = receive(t, receiver(t, c, "q", nil), "m1")
				must(t, "complete", r.CompleteMessage(t.Context(), m, nil))
				if got := b.Counts("q"); got.Completed != 2 || got.Active+got.Locked != 0 {
					t.Errorf("counts: %+v", got)
				}
			})
		})
	}
}

// A cut frees a session at once, for whoever is quick.
func TestCutFreesTheSession(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", RequiresSession: true})
		one, two := client(t, b), client(t, b)
		send(t, sender(t, one, "q"), "m", session("s"))
		receive(t, accept(t, one, "q", "s"), "m")
		b.CutConnections()
		if m := receive(t, accept(t, two, "q", "s"), "m"); m.DeliveryCount != 1 {
			t.Errorf("delivery %d", m.DeliveryCount)
		}
	})
}

func TestSilence(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		c := client(t, b)
		s := sender(t, c, "q")
		send(t, s, "m0")
		b.Silence(true)
		for _, body := range []string{"m1", "m2"} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if err := s.SendMessage(ctx, message(body), nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("send %s: %v", body, err)
			}
			cancel()
		}
		if got := b.Counts("q"); got.Accepted != 1 {
			t.Errorf("counts: %+v", got)
		}
		<-time.After(2 * time.Minute) // the client gives the connection up
		b.Silence(false)
		if got := b.Counts("q"); got.Accepted != 3 { // what had arrived is stored, as a frozen broker's kernel has it
			t.Errorf("counts: %+v", got)
		}
		send(t, s, "m3")
	})
}

func TestTokens(t *testing.T) {
	refuse := func(string) error { return errors.New("wrong audience") }
	cases := map[string]struct {
		cfg  bus.Config
		hook func(string) bus.TokenFault
		to   string
		code azservicebus.Code
	}{
		"refused by the check": {bus.Config{CheckToken: refuse}, nil, "q", azservicebus.CodeUnauthorizedAccess},
		"refused by the hook": {bus.Config{}, func(audience string) bus.TokenFault {
			if audience != "amqps://local.servicebus.windows.net/q" {
				return bus.TokenFault{Status: 500}
			}
			return bus.TokenFault{Status: 401, Delay: time.Second}
		}, "q", azservicebus.CodeUnauthorizedAccess},
		"no such queue": {bus.Config{}, nil, "none", azservicebus.CodeNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tc.cfg, func(t *testing.T, b *bus.Broker) {
				b.AddQueue(bus.Queue{Name: "q"})
				b.OnToken(tc.hook)
				wantCode(t, sender(t, client(t, b), tc.to).SendMessage(t.Context(), message("m"), nil), tc.code)
			})
		})
	}
}

// A token check sees the token itself, and a slow one holds nobody else up.
func TestSlowTokenCheck(t *testing.T) {
	check := func(token string) error {
		if token != "token" {
			return errors.New("another token")
		}
		<-time.After(2 * time.Second)
		return nil
	}
	inBubble(t, bus.Config{CheckToken: check}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		s := sender(t, client(t, b), "q")
		start := time.Now()
		send(t, s, "m")
		if took := time.Since(start); took < 4*time.Second || took > 5*time.Second { // the queue's token and $management's
			t.Errorf("took %s", took)
		}
	})
}

// Without a token nothing is let in: a link made with go-amqp alone.
func TestNoTokenNoLink(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q"})
		conn, err := amqp.NewConn(t.Context(), b.Pipe(), &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
		must(t, "connect", err)
		defer conn.Close()
		s, err := conn.NewSession(t.Context(), nil)
		must(t, "begin", err)
		_, err = s.NewSender(t.Context(), "q", nil)
		if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Condition != amqp.ErrCondUnauthorizedAccess {
			t.Errorf("got %v", err)
		}
	})
}

func TestLogHoldsNoTokenAndNoBody(t *testing.T) {
	var log bytes.Buffer
	cfg := bus.Config{Log: slog.New(slog.NewTextHandler(&log, nil)), CheckToken: func(token string) error {
		if token != "token" {
			t.Errorf("the check got %q", token)
		}
		return nil
	}}
	inBubble(t, cfg, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "q", MaxDeliveryCount: 1})
		c := client(t, b)
		s, r := sender(t, c, "q"), receiver(t, c, "q", nil)
		must(t, "send", s.SendMessage(t.Context(), &azservicebus.Message{Body: []byte("secret")}, nil))
		must(t, "abandon", r.AbandonMessage(t.Context(), receive(t, r, "secret"), nil))
		b.OnToken(func(string) bus.TokenFault { return bus.TokenFault{Status: 401} })
		wantCode(t, sender(t, client(t, b), "q").SendMessage(t.Context(), message("m"), nil), azservicebus.CodeUnauthorizedAccess)
	})
	for _, want := range []string{"dead-lettered", "token was refused"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
	for _, secret := range []string{"=token", "secret"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, log.String())
		}
	}
}
