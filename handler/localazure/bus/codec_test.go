package bus

import (
	"bytes"
	"context"
	"io"
	"net"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

func TestValuesSurviveTheCodec(t *testing.T) {
	values := []any{nil, true, false, uint8(7), uint16(700), uint32(1 << 20), uint64(3), uint64(1 << 40), int64(-5), "text", symbol("sym"),
		[]byte{1, 2}, time.UnixMilli(1234).UTC(), described{uint64(0x10), []any{"a", nil, []any{}}},
		map[string]any{"k": "v", "n": map[string]any{"d": described{symbol("x"), uint32(1)}}}}
	r := &reader{appendValue(nil, values)}
	got, err := r.value(0)
	if err != nil || !reflect.DeepEqual(got, any(values)) {
		t.Errorf("got %#v, %v", got, err)
	}
	r = &reader{appendValue(nil, []symbol{"a", "b"})}
	if got, err := r.value(0); err != nil || !reflect.DeepEqual(got, []any{symbol("a"), symbol("b")}) {
		t.Errorf("got %#v, %v", got, err)
	}
}

// Short forms, which this broker never writes and clients do.
func TestShortForms(t *testing.T) {
	cases := map[string]any{
		"\x43": uint32(0), "\x52\xff": uint32(255), "\x44": uint64(0), "\x53\x10": uint64(16), "\x54\xff": int32(-1), "\x55\xfe": int64(-2),
		"\x45": []any{}, "\x56\x01": true, "\xa1\x02hi": "hi", "\xa3\x02hi": symbol("hi"), "\xa0\x01\x00": []byte{0},
		"\xc0\x02\x01\x41": []any{true}, "\xc1\x05\x02\xa3\x01k\x42": map[string]any{"k": false},
		"\xe0\x04\x02\x50\x01\x02": []any{uint8(1), uint8(2)}, "\x73\x00\x00\x00A": []byte{0, 0, 0, 'A'},
	}
	for raw, want := range cases {
		r := &reader{[]byte(raw)}
		if got, err := r.value(0); err != nil || len(r.rest) != 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%x: got %#v, %v, %d bytes left", raw, got, err, len(r.rest))
		}
	}
}

func TestBrokenValues(t *testing.T) {
	deep := bytes.Repeat([]byte{0xc0, 0xff, 0x01}, 100)
	for _, raw := range []string{"", "\x70\x00", "\xa1\x05hi", "\xb1\xff\xff\xff\xff", "\xc0\x02\x09\x41", "\x3f", "\xd0\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40", string(deep)} {
		if got, err := (&reader{[]byte(raw)}).value(0); err == nil {
			t.Errorf("%x: got %#v, want an error", raw, got)
		}
	}
}

// recorder keeps what a client writes.
type recorder struct {
	net.Conn
	mu      *sync.Mutex
	written *bytes.Buffer
}

func (r recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.written.Write(p)
	r.mu.Unlock()
	return r.Conn.Write(p)
}

type anyToken struct{}

func (anyToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// conversation returns what azservicebus writes to send, receive, renew,
// schedule and settle.
func conversation(tb testing.TB) []byte {
	b := New(Config{})
	defer b.Close()
	b.AddQueue(Queue{Name: "q"})
	b.AddQueue(Queue{Name: "s", RequiresSession: true})
	r := recorder{mu: &sync.Mutex{}, written: &bytes.Buffer{}}
	c, err := azservicebus.NewClient("n", anyToken{}, &azservicebus.ClientOptions{
		NewWebSocketConn: func(context.Context, azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
			r.Conn = b.Pipe()
			return r, nil
		}})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, id := context.Background(), "id"
	for _, name := range []string{"q", "s"} {
		s, _ := c.NewSender(name, nil)
		m := &azservicebus.Message{Body: []byte("m"), SessionID: &id, MessageID: &id}
		if err := s.SendMessage(ctx, m, nil); err != nil {
			tb.Fatal(err)
		}
		_, _ = s.ScheduleMessages(ctx, []*azservicebus.Message{m}, time.Now().Add(time.Hour), nil)
	}
	plain, _ := c.NewReceiverForQueue("q", nil)
	got, err := plain.ReceiveMessages(ctx, 1, nil)
	if err != nil {
		tb.Fatal(err)
	}
	_ = plain.RenewMessageLock(ctx, got[0], nil)
	_ = plain.DeadLetterMessage(ctx, got[0], nil)
	inSession, err := c.AcceptNextSessionForQueue(ctx, "s", nil)
	if err != nil {
		tb.Fatal(err)
	}
	_ = inSession.RenewSessionLock(ctx, nil)
	_, _ = inSession.PeekMessages(ctx, 5, nil)
	_ = c.Close(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.written.Bytes())
}

// FuzzReadFrame feeds foreign bytes to the codec.
func FuzzReadFrame(f *testing.F) {
	f.Add(conversation(f))
	f.Add([]byte("\x00\x00\x00\x0c\x03\x00\x00\x00AMQP\x40"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		for {
			if _, err := readFrame(r); err != nil {
				return
			}
		}
	})
}

// FuzzConnection feeds frames to a connection that holds a token for
// everything: nothing that a client sends brings the broker down, then or when
// locks and waits are over.
func FuzzConnection(f *testing.F) {
	f.Add(conversation(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			b := New(Config{})
			b.AddQueue(Queue{Name: "q"})
			b.AddQueue(Queue{Name: "s", RequiresSession: true})
			ours, _ := net.Pipe()
			c := newConn(b, ours)
			c.claims[""] = time.Now().Add(time.Hour)
			b.do(func() { feed(c, data) })
			<-time.After(2 * time.Minute)
			b.do(func() {
				out, _ := c.take(nil, false)
				wellFormed(t, out)
				c.end()
			})
		})
	})
}

func feed(c *conn, data []byte) {
	for r := bytes.NewReader(data); ; {
		frame, err := readFrame(r)
		if err != nil {
			return
		}
		c.receive(frame)
	}
}

// wellFormed checks that the broker can read what it wrote.
func wellFormed(t *testing.T, out []byte) {
	r := bytes.NewReader(out)
	for {
		_, err := readFrame(r)
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("the broker wrote a frame that cannot be read: %v", err)
		}
	}
}
