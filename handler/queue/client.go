package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/fault"
)

const (
	// replaceEvery is the least time between two replacements of the client.
	replaceEvery = 10 * time.Second
	// closeTime bounds how long a client is closed. It says goodbye link by
	// link and waits for each answer, which may never come.
	closeTime = 2 * time.Second
	// tokenTime bounds the wait for a token. It is less than the usual Timeout,
	// so that a caller learns that it is the token that is missing.
	tokenTime = 6 * time.Second
)

// client is a connection with its one sender. It connects when it is first
// used, and again when the connection breaks.
type client struct {
	conn   *azservicebus.Client
	sender *azservicebus.Sender
}

// open makes a client. It does no I/O.
func (s *Sender) open() (*client, error) {
	conn, err := s.connect()
	if err != nil {
		return nil, fault.New(fault.Misconfigured, "queue_client_invalid", "The Service Bus client cannot be made.").Because(err)
	}
	sender, err := conn.NewSender(s.cfg.Queue, nil)
	if err != nil {
		return nil, fault.New(fault.Misconfigured, "queue_client_invalid", "The Service Bus client cannot be made.").Because(err)
	}
	return &client{conn, sender}, nil
}

func (s *Sender) connect() (*azservicebus.Client, error) {
	options := &azservicebus.ClientOptions{RetryOptions: s.cfg.Retry, ApplicationID: "keyless"}
	if s.cfg.EmulatorConnection != "" {
		return azservicebus.NewClientFromConnectionString(s.cfg.EmulatorConnection, options)
	}
	if s.cfg.Credential == nil {
		return nil, errors.New("no credential")
	}
	options.NewWebSocketConn = s.dial
	return azservicebus.NewClient(s.cfg.Namespace, credential{s.cfg.Credential}, options)
}

// close disconnects. It returns when that is done, ctx ends, or closeTime is
// over.
func (c *client) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.conn.Close(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("disconnect from the queue: %w", ctx.Err())
	}
}

// isReplaced reports whether c has given way to another client.
func (s *Sender) isReplaced(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client != nil && s.client != c
}

// sticks reports whether a client that failed so may go on to do so for no good
// reason. go-amqp takes a minute to notice that a connection has died without a
// word, as when an instance was frozen, and until then each send on it waits in
// vain. And a link that the service detached for want of a right, or because
// the queue was disabled, stays detached for azservicebus, whose sender returns
// the same error ever after (internal/amqpLinks.go: errors that it calls fatal
// are not recovered from).
func sticks(err error) bool {
	f := fault.From(err)
	return f.Kind == fault.Denied || f.Kind == fault.Misconfigured || f.Code == codeTimeout
}

// replace puts a new client in the place of c, unless somebody else has, or
// the last time was a moment ago.
func (s *Sender) replace(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != c || time.Since(s.replaced) < replaceEvery {
		return
	}
	fresh, err := s.open()
	if err != nil {
		s.cfg.Log.Error("no new client for the queue", "queue", s.cfg.Queue, "error", err)
		return
	}
	s.client, s.replaced = fresh, time.Now()
	s.cfg.Log.Warn("connecting to the queue anew", "queue", s.cfg.Queue)
	s.work.Go(func() { _ = c.close(context.Background()) })
}

// dial opens a connection. azservicebus takes any connection through its door
// for web sockets. This one is opened here so that a name that does not exist
// can be told from a network that fails: of an error in its own dialing
// azservicebus keeps only the text.
func (s *Sender) dial(ctx context.Context, _ azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
	dial := s.cfg.Dial
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) {
			return new(tls.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(s.cfg.Namespace, "5671"))
		}
	}
	conn, err := dial(ctx)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil, final{fault.New(fault.Misconfigured, "queue_namespace_not_found",
			"There is no Service Bus namespace %s. Check the setting that names it.", s.cfg.Namespace).Because(err)}
	}
	return conn, err
}

// credential asks for tokens on behalf of azservicebus, which gives no time
// limit, spells the scope with two slashes before .default (the same tokens
// are kept elsewhere by the scope's usual spelling), and of most errors keeps
// only the text.
type credential struct{ inner azcore.TokenCredential }

var _ azcore.TokenCredential = credential{}

// GetToken implements [azcore.TokenCredential].
func (c credential) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTime)
	defer cancel()
	opts.Scopes = []string{Scope}
	token, err := c.inner.GetToken(ctx, opts)
	if err != nil {
		return azcore.AccessToken{}, final{err}
	}
	return token, nil
}

// final is an error that azservicebus hands on at once and as it is, by the
// method NonRetriable (internal/errors.go, GetRecoveryKind). It does not
// unwrap: a network error in the chain would be looked at first, and retried.
type final struct{ cause error }

func (f final) Error() string { return f.cause.Error() }

// NonRetriable marks the error for azservicebus.
func (f final) NonRetriable() {}
