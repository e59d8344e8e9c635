package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/localazure/bus"
)

// credential gives tokens that live an hour and say "token".
type credential struct{}

func (credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// inBubble runs f with a broker on a fake clock.
func inBubble(t *testing.T, cfg bus.Config, f func(*testing.T, *bus.Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(cfg)
		t.Cleanup(func() { _ = b.Close() })
		f(t, b)
	})
}

// client returns an azservicebus client over in-memory connections.
func client(t *testing.T, b *bus.Broker) *azservicebus.Client {
	t.Helper()
	c, err := azservicebus.NewClient("local.servicebus.windows.net", credential{}, &azservicebus.ClientOptions{
		NewWebSocketConn: func(context.Context, azservicebus.NewWebSocketConnArgs) (net.Conn, error) { return b.Pipe(), nil },
		RetryOptions:     azservicebus.RetryOptions{MaxRetries: 3, RetryDelay: 50 * time.Millisecond, MaxRetryDelay: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func sender(t *testing.T, c *azservicebus.Client, queue string) *azservicebus.Sender {
	t.Helper()
	s, err := c.NewSender(queue, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func receiver(t *testing.T, c *azservicebus.Client, queue string, options *azservicebus.ReceiverOptions) *azservicebus.Receiver {
	t.Helper()
	r, err := c.NewReceiverForQueue(queue, options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// send sends a message; its id is its body.
func send(t *testing.T, s *azservicebus.Sender, body string, more ...func(*azservicebus.Message)) {
	t.Helper()
	m := message(body, more...)
	if err := s.SendMessage(t.Context(), m, nil); err != nil {
		t.Fatalf("send %s: %v", body, err)
	}
}

func message(body string, more ...func(*azservicebus.Message)) *azservicebus.Message {
	m := &azservicebus.Message{Body: []byte(body), MessageID: &body}
	for _, f := range more {
		f(m)
	}
	return m
}

func session(id string) func(*azservicebus.Message) {
	return func(m *azservicebus.Message) { m.SessionID = &id }
}

// receiving is a receiver of either sort.
type receiving interface {
	ReceiveMessages(context.Context, int, *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
}

// receive returns the next message, which must say body.
func receive(t *testing.T, r receiving, body string) *azservicebus.ReceivedMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := r.ReceiveMessages(ctx, 1, nil)
	if err != nil || len(got) != 1 {
		t.Fatalf("receive %s: %d messages, %v", body, len(got), err)
	}
	if string(got[0].Body) != body {
		t.Fatalf("received %s, want %s", got[0].Body, body)
	}
	return got[0]
}

// nothing checks that no message comes within a while.
func nothing(t *testing.T, r receiving) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got, err := r.ReceiveMessages(ctx, 1, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("received %d messages, %v; want none", len(got), err)
	}
}

func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// wantCode checks that err is of azservicebus's code.
func wantCode(t *testing.T, err error, code azservicebus.Code) {
	t.Helper()
	e, ok := errors.AsType[*azservicebus.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
}

func TestSendReceiveComplete(t *testing.T) {
	inBubble(t, bus.Config{}, func(t *testing.T, b *bus.Broker) {
		b.AddQueue(bus.Queue{Name: "Jobs"})
		c := client(t, b)
		s, r := sender(t, c, "jobs"), receiver(t, c, "JOBS", nil)
		for i := range 3 {
			send(t, s, fmt.Sprint("m", i), func(m *azservicebus.Message) {
				m.ApplicationProperties = map[string]any{"traceparent": "00-1", "n": int64(7)}
			})
		}
		for i := range 3 {
			m := receive(t, r, fmt.Sprint("m", i))
			if m.DeliveryCount != 1 || m.MessageID != string(m.Body) || *m.SequenceNumber != int64(i+1) ||
				m.ApplicationProperties["traceparent"] != "00-1" || m.ApplicationProperties["n"] != int64(7) {
				t.Errorf("received %+v", m)
			}
			if lock := time.Until(*m.LockedUntil); lock < 55*time.Second || lock > time.Minute {
				t.Errorf("locked for %s", lock)
			}
			must(t, "complete", r.CompleteMessage(t.Context(), m, nil))
		}
		nothing(t, r)
		if got := b.Counts("jobs"); got.Completed != 3 || got.Active+got.Locked != 0 || got.Accepted != 3 || got.Delivered != 3 {
			t.Errorf("counts: %+v", got)
		}
	})
}
