// Package queue sends jobs to a Service Bus queue, from where the Functions
// host hands them to the function run-job.
//
// All callers share one connection and one sender: it takes as many sends at
// once as there are, and another sender would cost sixteen round trips and
// gain nothing. What goes wrong is classified (package fault). A send may have
// been stored although it failed, so every message has an id, and the queue
// detects duplicates.
package queue

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/fault"
)

// Scope is what a token for Service Bus is asked for with.
const Scope = "https://servicebus.azure.net/.default"

// MaxBody is the most bytes that a message's body may have: the 256 KiB that a
// message may have in the Standard tier, with room for what else is in it.
const MaxBody = 255 << 10

// Config tells where a Sender sends to.
type Config struct {
	Namespace string // <name>.servicebus.windows.net
	Queue     string
	// Credential is asked for Scope. It obeys its context; its errors are
	// handed on.
	Credential azcore.TokenCredential
	Log        *slog.Logger // nil: none

	// Timeout bounds a Send, retries included. Zero: eight seconds.
	Timeout time.Duration
	// Retry is how a send is repeated within Timeout. Zero: three times, after
	// pauses of about 0.2, 0.6 and 1.4 seconds.
	Retry azservicebus.RetryOptions
	// Dial opens a connection to the namespace; nil: TLS to its port 5671.
	Dial func(ctx context.Context) (net.Conn, error)

	// Local says that this is a local run, which may set EmulatorConnection.
	Local bool
	// EmulatorConnection is an emulator's connection string, in place of
	// Namespace, Credential and Dial. It must name a loopback address and have
	// UseDevelopmentEmulator=true, which switches TLS off.
	EmulatorConnection string
}

// Message is what is sent.
type Message struct {
	ID          string // 1 to 128 characters; of several messages with one id the queue takes the first
	Session     string // messages of one session are received in order, one at a time
	Body        []byte // JSON, at most MaxBody bytes; not to be changed any more, since a send that is given up may still read it
	Traceparent string // W3C trace context; may be empty
	// NotBefore is when the message can be received at the earliest; zero: now.
	NotBefore time.Time
	// TimeToLive is how long the message can be received; zero: as long as the
	// queue keeps messages.
	TimeToLive time.Duration
}

// Sender sends messages to one queue. It is safe for concurrent use.
type Sender struct {
	cfg   Config
	place string         // "<queue> of <namespace>", for messages
	work  sync.WaitGroup // operations under way, and old clients being closed

	mu       sync.Mutex
	client   *client // nil once closed
	replaced time.Time
	checked  error // of the last Check
}

// New returns a sender. It does no I/O: the first Check or Send connects,
// which takes twenty round trips. It returns fault.Misconfigured if a field is
// wrong.
func New(cfg Config) (*Sender, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 8 * time.Second
	}
	if cfg.Retry == (azservicebus.RetryOptions{}) {
		cfg.Retry = azservicebus.RetryOptions{MaxRetries: 3, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 2 * time.Second}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.EmulatorConnection != "" {
		host, err := emulatorHost(cfg)
		if err != nil {
			return nil, err
		}
		cfg.Namespace = host
	}
	if cfg.Namespace == "" || cfg.Queue == "" {
		return nil, fault.New(fault.Misconfigured, "queue_missing", "The Service Bus namespace or the name of the queue is not set.")
	}
	s := &Sender{cfg: cfg, place: cfg.Queue + " of " + cfg.Namespace}
	var err error
	s.client, err = s.open()
	return s, err
}

// Check connects, gets the right to send, and sends nothing. It proves the
// identity, the role and the queue, and takes the time to connect off the
// first Send. Its errors are those of Send.
func (s *Sender) Check(ctx context.Context) error {
	err := s.do(ctx, func(ctx context.Context, c *client) error {
		_, err := c.sender.NewMessageBatch(ctx, nil)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked = err
	return err
}

// Warm runs Check in the background and logs if it fails. ctx is for the check.
func (s *Sender) Warm(ctx context.Context) {
	go func() {
		if err := s.Check(ctx); err != nil {
			s.cfg.Log.WarnContext(ctx, "the queue is not ready", "queue", s.cfg.Queue, "error", err)
		}
	}()
}

// Checked returns what the last Check, or Warm, returned.
func (s *Sender) Checked() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked
}

// Send sends m and returns once the queue has stored it, in one round trip on
// a warm connection. It takes no longer than Timeout, whatever happens. After
// fault.Unavailable the message may have been stored all the same; repeat it
// with the same ID.
//
// It returns fault.TooLarge, fault.Throttled, fault.Denied and
// fault.Misconfigured for what their names say, the credential's errors as
// they are, and ctx's error if that ends first.
func (s *Sender) Send(ctx context.Context, m Message) error {
	if len(m.Body) > MaxBody {
		return tooLarge()
	}
	return uncertain(s.do(ctx, func(ctx context.Context, c *client) error {
		return c.sender.SendMessage(ctx, m.wire(), nil)
	}))
}

// wire returns m as azservicebus wants it. The trace context goes where the
// Functions host's Service Bus extension looks for it (MessagingClientDiagnostics).
func (m Message) wire() *azservicebus.Message {
	w := &azservicebus.Message{MessageID: &m.ID, SessionID: &m.Session, Body: m.Body, ContentType: to.Ptr("application/json")}
	if m.Traceparent != "" {
		w.ApplicationProperties = map[string]any{"traceparent": m.Traceparent}
	}
	if !m.NotBefore.IsZero() {
		w.ScheduledEnqueueTime = &m.NotBefore
	}
	if m.TimeToLive > 0 {
		w.TimeToLive = &m.TimeToLive
	}
	return w
}

// errSlow is the cause of a context that ended by Timeout, not by its caller.
var errSlow = errors.New("the queue did not answer in time")

// do runs op within Timeout. If the client gives way to another one, be it for
// what happened here or to another caller, it runs op again with the new one;
// that is no more than once or twice, since replacements are farther apart than
// Timeout is long.
func (s *Sender) do(ctx context.Context, op func(context.Context, *client) error) error {
	bounded, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, errSlow)
	defer cancel()
	for {
		c, err := s.begin()
		if err != nil {
			return err
		}
		if err = s.run(bounded, c, op); err == nil {
			return nil
		}
		err = s.queueFault(bounded, err)
		if sticks(err) {
			s.replace(c)
		}
		if bounded.Err() != nil || !s.isReplaced(c) {
			return err
		}
	}
}

// run runs op, which begin has counted, and returns when it is done or ctx
// ends. azservicebus waits on mutexes whatever the context says, while another
// caller dials, waits for credit, or asks for a token; hence the goroutine. It
// ends when those others do, whose contexts end too.
func (s *Sender) run(ctx context.Context, c *client, op func(context.Context, *client) error) error {
	done := make(chan error, 1)
	go func() {
		defer s.work.Done()
		done <- op(ctx, c)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begin counts an operation and returns the client for it.
func (s *Sender) begin() (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil, fault.New(fault.Unavailable, "queue_closed", "The app is stopping. Try again in a moment.")
	}
	s.work.Add(1)
	return s.client, nil
}

// Close takes no more sends, waits for those under way, and disconnects. It
// obeys ctx; give it some seconds.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	c := s.client
	s.client = nil
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	idle := make(chan struct{})
	go func() {
		s.work.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	return c.close(ctx)
}
