package trigger_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"

	"keyless/handler/host"
	"keyless/handler/localazure/bus"
	"keyless/handler/localazure/trigger"
	"keyless/handler/queue"
)

const (
	namespace = "ns.servicebus.windows.net"
	jobs      = "jobs"
)

// rig is a broker, a handler and the pump between them, in one synctest bubble.
type rig struct {
	*bus.Broker
	t      *testing.T
	sender *queue.Sender
	cfg    trigger.Config
}

func newRig(t *testing.T, q bus.Queue, handler http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{Broker: bus.New(bus.Config{}), t: t}
	t.Cleanup(func() { _ = r.Close() })
	q.Name, q.RequiresSession = jobs, true
	r.AddQueue(q)
	dial := func(context.Context) (net.Conn, error) { return r.Pipe(), nil }
	var err error
	r.sender, err = queue.New(queue.Config{Namespace: namespace, Queue: jobs, Credential: &fake.TokenCredential{}, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.sender.Close(context.Background()) })
	r.cfg = trigger.Config{
		Namespace: namespace, Queue: jobs, Credential: &fake.TokenCredential{}, Dial: dial,
		Handler: "http://handler", Function: "run-job", Client: serve(t, handler),
	}
	return r
}

// serve serves h over in-memory connections and returns the client for it.
func serve(t *testing.T, h http.Handler) *http.Client {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return &http.Client{Transport: &http.Transport{DialContext: l.dial}}
}

// pipes is a listener of in-memory connections.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "handler"} }

// start runs a pump, after change, until stop is called or the test ends.
func (r *rig) start(change ...func(*trigger.Config)) (stop func()) {
	r.t.Helper()
	cfg := r.cfg
	for _, c := range change {
		c(&cfg)
	}
	p, err := trigger.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run = %v", err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

// send sends a message of the session.
func (r *rig) send(id, session string) {
	r.t.Helper()
	err := r.sender.Send(context.Background(), queue.Message{ID: id, Session: session, Body: []byte(`{"job":"` + id + `"}`), Traceparent: parent})
	if err != nil {
		r.t.Fatal(err)
	}
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func envelope(t *testing.T, r *http.Request) host.Envelope {
	e, err := host.DecodeEnvelope(r.Body)
	if err != nil {
		t.Error(err)
	}
	return e
}

func done(w http.ResponseWriter, _ *http.Request) { host.WriteDone(w) }

// pass lets time pass, and what happens then come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
