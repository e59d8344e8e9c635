package queue_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/fault"
	"keyless/handler/localazure/bus"
	"keyless/handler/queue"
)

const (
	namespace = "ns.servicebus.windows.net"
	jobs      = "jobs"
)

// rig is a broker with the queue jobs, and what it takes to send to it.
type rig struct {
	*bus.Broker
	t testing.TB

	mu    sync.Mutex
	conns []*brittle
}

// newRig starts a broker. In a synctest bubble it belongs to the bubble.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, Broker: bus.New(bus.Config{CheckToken: func(token string) error {
		if token != "good" {
			return errors.New("not a good token")
		}
		return nil
	}})}
	r.AddQueue(bus.Queue{Name: jobs, RequiresSession: true, DuplicateDetection: 10 * time.Minute})
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// sender returns a sender over in-memory connections, after change.
func (r *rig) sender(change ...func(*queue.Config)) *queue.Sender {
	r.t.Helper()
	cfg := queue.Config{Namespace: namespace, Queue: jobs, Credential: token("good"), Dial: r.dial}
	for _, c := range change {
		c(&cfg)
	}
	s, err := queue.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func (r *rig) dial(context.Context) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &brittle{Conn: r.Pipe(), dead: make(chan struct{}), closed: make(chan struct{})}
	r.conns = append(r.conns, c)
	return c, nil
}

// dials returns how many connections were opened.
func (r *rig) dials() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// kill makes the connections so far die without a word.
func (r *rig) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.kill()
	}
}

// receive takes n messages out of the session.
func (r *rig) receive(session string, n int) []*azservicebus.ReceivedMessage {
	r.t.Helper()
	anyScope := credentialFunc(func(ctx context.Context) (azcore.AccessToken, error) {
		return token("good").GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{queue.Scope}})
	})
	client, err := azservicebus.NewClient(namespace, anyScope, &azservicebus.ClientOptions{
		NewWebSocketConn: func(context.Context, azservicebus.NewWebSocketConnArgs) (net.Conn, error) { return r.Pipe(), nil },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	receiver, err := client.AcceptSessionForQueue(ctx, jobs, session, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer receiver.Close(ctx)
	var all []*azservicebus.ReceivedMessage
	for len(all) < n {
		some, err := receiver.ReceiveMessages(ctx, n-len(all), nil)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range some {
			if err := receiver.CompleteMessage(ctx, m, nil); err != nil {
				r.t.Fatal(err)
			}
		}
		all = append(all, some...)
	}
	return all
}

// quick has retries of milliseconds, for tests in real time.
func quick(c *queue.Config) {
	c.Timeout = time.Second
	c.Retry = azservicebus.RetryOptions{MaxRetries: 5, RetryDelay: time.Millisecond, MaxRetryDelay: 10 * time.Millisecond}
}

// token is a credential that gives itself, for Service Bus alone.
type token string

func (c token) GetToken(_ context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if len(opts.Scopes) != 1 || opts.Scopes[0] != queue.Scope {
		return azcore.AccessToken{}, errors.New("a token for something else was asked for")
	}
	return azcore.AccessToken{Token: string(c), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// credentialFunc is a credential.
type credentialFunc func(ctx context.Context) (azcore.AccessToken, error)

func (f credentialFunc) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return f(ctx)
}

// brittle is a connection that can die as those do that a firewall has
// forgotten: what is written is lost, and nothing comes.
type brittle struct {
	net.Conn
	dead, closed       chan struct{}
	killOnce, doneOnce sync.Once
}

func (c *brittle) kill() { c.killOnce.Do(func() { close(c.dead) }) }

func (c *brittle) Write(p []byte) (int, error) {
	select {
	case <-c.dead:
		return len(p), nil
	default:
		return c.Conn.Write(p)
	}
}

func (c *brittle) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.dead:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *brittle) Close() error {
	c.doneOnce.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func want(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	if f := fault.From(err); f == nil || f.Kind != kind || f.Code != code {
		t.Errorf("got %v, want %v %s", err, kind, code)
	}
}

func message(id, session string) queue.Message {
	return queue.Message{ID: id, Session: session, Body: []byte(`{"id":"` + id + `"}`)}
}
