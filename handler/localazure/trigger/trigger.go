// Package trigger plays the Service Bus trigger of the Functions host, for
// local runs and tests: it receives from a queue with sessions, posts each
// message to the handler in the host's envelope, and settles it by the answer.
//
// It does what the host is known to do, the unpleasant included: it abandons a
// failed message at once and without a pause, so that a fast failure uses up
// all deliveries; on an empty answer it waits until the function's time-out;
// it lets go of a message that takes longer than its lock may be renewed; and
// what a message's body says overwrites the metadata. One thing it cannot do is
// to kill the handler at the time-out.
//
// What the host does is described in Azure/azure-functions-host
// (DefaultHttpWorkerService, ScriptInvocationContextExtensions, Utility) and in
// the Service Bus extension in Azure/azure-sdk-for-net.
package trigger

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// Config says where messages come from and where they go. Fields of host.json
// and function.json bear their names there.
type Config struct {
	Namespace  string // <name>.servicebus.windows.net
	Queue      string // has sessions enabled
	Credential azcore.TokenCredential
	// Dial opens a connection to the namespace; nil: TLS to its port 5671.
	Dial func(ctx context.Context) (net.Conn, error)

	Handler  string // the handler's address, such as http://127.0.0.1:8080
	Function string // the function's name, which is the path to post to
	Binding  string // the trigger binding's name; empty: msg

	MaxConcurrentSessions int           // zero: 8
	SessionIdleTimeout    time.Duration // how long a session is held with no message; zero: one second
	MaxAutoLockRenewal    time.Duration // zero: five minutes
	FunctionTimeout       time.Duration // zero: thirty minutes

	// SingleEncoded has the body encoded once, as older hosts do, not twice.
	SingleEncoded bool
	Client        *http.Client // calls the handler; nil: one of its own
	Log           *slog.Logger // nil: none
}

// Pump is the trigger. Run it once.
type Pump struct {
	cfg Config
	bus *azservicebus.Client
}

// New returns a pump. It does no I/O.
func New(cfg Config) (*Pump, error) {
	if cfg.Queue == "" || cfg.Handler == "" || cfg.Function == "" {
		return nil, errors.New("the trigger needs a queue, a handler and a function")
	}
	cfg.fill()
	bus, err := azservicebus.NewClient(cfg.Namespace, cfg.Credential, &azservicebus.ClientOptions{
		RetryOptions:     azservicebus.RetryOptions{MaxRetries: 3, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: time.Second},
		NewWebSocketConn: func(ctx context.Context, _ azservicebus.NewWebSocketConnArgs) (net.Conn, error) { return cfg.Dial(ctx) },
	})
	if err != nil {
		return nil, fmt.Errorf("make the trigger's client: %w", err)
	}
	return &Pump{cfg, bus}, nil
}

// fill puts the host's defaults in the place of zero values. One is ours: the
// host's sessionIdleTimeout is a minute.
func (c *Config) fill() {
	orElse := func(d *time.Duration, standard time.Duration) {
		if *d == 0 {
			*d = standard
		}
	}
	orElse(&c.SessionIdleTimeout, time.Second)
	orElse(&c.MaxAutoLockRenewal, 5*time.Minute)
	orElse(&c.FunctionTimeout, 30*time.Minute)
	if c.MaxConcurrentSessions == 0 {
		c.MaxConcurrentSessions = 8
	}
	if c.Binding == "" {
		c.Binding = "msg"
	}
	if c.Client == nil {
		c.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c.MaxConcurrentSessions}}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		address := net.JoinHostPort(c.Namespace, "5671")
		c.Dial = func(ctx context.Context) (net.Conn, error) { return new(tls.Dialer).DialContext(ctx, "tcp", address) }
	}
}

const (
	acceptTime = time.Minute      // how long to ask for a session before asking again, as the host does
	settleTime = 10 * time.Second // how long a settlement or a goodbye may take
	pause      = time.Second      // after a failure to get a session
)

// Run serves the queue until ctx ends, then cancels the calls in flight,
// abandons their messages, disconnects and returns nil. Whatever goes wrong is
// logged, and tried again.
func (p *Pump) Run(ctx context.Context) error {
	var sessions sync.WaitGroup
	for range p.cfg.MaxConcurrentSessions {
		sessions.Go(func() { p.serve(ctx) })
	}
	sessions.Wait()
	p.cfg.Client.CloseIdleConnections()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if err := p.bus.Close(bounded); err != nil {
		p.cfg.Log.Debug("the trigger did not disconnect well", "error", err)
	}
	return nil
}

// serve takes one session after the other.
func (p *Pump) serve(ctx context.Context) {
	for ctx.Err() == nil {
		receiver, err := p.accept(ctx)
		switch {
		case err == nil:
			p.drain(ctx, receiver)
		case ctx.Err() == nil:
			p.cfg.Log.Warn("the trigger gets no session", "queue", p.cfg.Queue, "error", err)
			wait(ctx, pause)
		}
	}
}

// accept waits for a session that has messages and that nobody holds.
func (p *Pump) accept(ctx context.Context) (*azservicebus.SessionReceiver, error) {
	for {
		bounded, cancel := context.WithTimeout(ctx, acceptTime)
		receiver, err := p.bus.AcceptNextSessionForQueue(bounded, p.cfg.Queue, nil)
		cancel()
		if !idle(err) || ctx.Err() != nil {
			return receiver, err
		}
	}
}

// idle reports whether err says that there was nothing to receive.
func idle(err error) bool {
	e, ok := errors.AsType[*azservicebus.Error](err)
	return ok && e.Code == azservicebus.CodeTimeout || errors.Is(err, context.DeadlineExceeded)
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
