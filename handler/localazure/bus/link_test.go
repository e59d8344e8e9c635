package bus

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/go-amqp"
)

// trusted returns a session of go-amqp whose connection holds a token for
// everything.
func trusted(t *testing.T, b *Broker) *amqp.Session {
	t.Helper()
	c, err := amqp.NewConn(t.Context(), b.Pipe(), &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	b.do(func() {
		for c := range b.conns {
			c.claims[""] = time.Now().Add(time.Hour)
		}
	})
	s, err := c.NewSession(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A drain ends once what there is has been sent, and takes the credit back.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		t.Cleanup(func() { _ = b.Close() })
		b.AddQueue(Queue{Name: "q"})
		s := trusted(t, b)
		sender, err := s.NewSender(t.Context(), "q", nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.NewReceiver(t.Context(), "amqps://host/Q", &amqp.ReceiverOptions{Credit: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.IssueCredit(5); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := sender.Send(t.Context(), amqp.NewMessage([]byte("m")), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.DrainCredit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r.Prefetched() == nil {
				t.Error("a message was not delivered before the drain's end")
			}
		}
		if err := sender.Send(t.Context(), amqp.NewMessage([]byte("m")), nil); err != nil {
			t.Fatal(err)
		}
		if got := b.Counts("q"); got.Delivered != 2 || got.Active != 1 {
			t.Errorf("counts: %+v", got)
		}
	})
}

// A type that azservicebus would panic at does not get through, and neither
// does a message that cannot be passed on.
func TestForeignTypesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		t.Cleanup(func() { _ = b.Close() })
		b.AddQueue(Queue{Name: "q"})
		s := trusted(t, b)
		sender, err := s.NewSender(t.Context(), "q", nil)
		if err != nil {
			t.Fatal(err)
		}
		m := amqp.NewMessage([]byte("m"))
		m.Annotations = amqp.Annotations{annotationSequence: "x", annotationPartition: int64(1), annotationDue: "soon", "x-other": int32(1)}
		m.ApplicationProperties = map[string]any{propertyReason: int64(1), "mine": "kept"}
		if err := sender.Send(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		r, err := s.NewReceiver(t.Context(), "q", nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Receive(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Annotations[annotationSequence] != int64(1) || got.Annotations[annotationPartition] != nil || got.Annotations[annotationDue] != nil ||
			got.Annotations["x-other"] != int32(1) || got.ApplicationProperties[propertyReason] != nil || got.ApplicationProperties["mine"] != "kept" {
			t.Errorf("received %+v, %+v", got.Annotations, got.ApplicationProperties)
		}
	})
}

// The session filter comes back as it was put: the JavaScript client puts it
// bare, azservicebus described.
func TestSessionFilterComesBackInItsForm(t *testing.T) {
	for name, asked := range map[string]any{"bare": "s", "described": described{uint64(0x137000000C), "s"}} {
		t.Run(name, func(t *testing.T) {
			b := New(Config{})
			b.AddQueue(Queue{Name: "q", RequiresSession: true})
			ours, _ := net.Pipe()
			c := newConn(b, ours)
			c.claims[""] = time.Now().Add(time.Hour)
			source := described{uint64(codeSource), []any{"q", nil, nil, nil, nil, nil, nil, map[string]any{sessionFilter: asked}}}
			in := appendFrame(nil, kindAMQP, 0, codeBegin, []any{nil, uint32(0), uint32(10), uint32(10)}, nil)
			in = appendFrame(in, kindAMQP, 0, codeAttach, []any{"l", uint32(0), true, nil, uint8(1), source}, nil)
			b.do(func() { feed(c, in) })
			out := bytes.NewReader(c.out)
			_, _ = readFrame(out) // begin
			attached, err := readFrame(out)
			_, got := attached.fields.composite(5)
			if err != nil || field[map[string]any](got, 7)[sessionFilter] != asked {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// A receiver may settle many deliveries at once, and say more than there are.
func TestDispositionOfARange(t *testing.T) {
	b := New(Config{})
	b.AddQueue(Queue{Name: "q"})
	ours, _ := net.Pipe()
	c := newConn(b, ours)
	c.claims[""] = time.Now().Add(time.Hour)
	in := appendFrame(nil, kindAMQP, 0, codeBegin, []any{nil, uint32(0), uint32(10), uint32(10)}, nil)
	in = appendFrame(in, kindAMQP, 0, codeAttach, []any{"l", uint32(0), true, nil, uint8(1), described{uint64(codeSource), []any{"q"}}}, nil)
	in = appendFrame(in, kindAMQP, 0, codeFlow, []any{uint32(0), uint32(10), uint32(0), uint32(10), uint32(0), uint32(0), uint32(3)}, nil)
	settle := appendFrame(nil, kindAMQP, 0, codeDisposition,
		[]any{true, uint32(1), uint32(1 << 31), true, described{uint64(codeAccepted), []any{}}}, nil)
	b.do(func() {
		feed(c, in)
		q, _ := b.queue("q")
		for range 4 {
			q.add(&message{amqp: amqp.NewMessage([]byte("m"))})
		}
		feed(c, settle)
	})
	// Three had credit; the first is left out of the range.
	if got := b.Counts("q"); got.Delivered != 3 || got.Completed != 2 || got.Locked != 1 || got.Active != 1 {
		t.Errorf("counts: %+v", got)
	}
	_ = b.Close()
}
