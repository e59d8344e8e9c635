package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/conversation"
	"keyless/handler/doctor"
	"keyless/handler/identity"
	"keyless/handler/jobs"
	"keyless/handler/llm"
	"keyless/handler/queue"
	"keyless/handler/sessions"
	"keyless/handler/store"
)

// clients speak to the services. One that could not be made has its error in
// its place, so that the others can still be examined.
type clients struct {
	tokens  *identity.Source
	model   *llm.Model
	pool    *sessions.Client
	records records
	queue   *queue.Sender // nil also where no queue is configured
	dialed  bool          // the queue is not at its namespace's address

	modelErr, poolErr, recordsErr, queueErr error

	closeRecords func()
}

// connect makes the clients. It does no I/O.
func connect(c Config, credential azcore.TokenCredential, dialBus Dial, log *slog.Logger) *clients {
	client := &http.Client{Transport: doctor.WatchDates(newTransport())}
	options := azcore.ClientOptions{Transport: client, Telemetry: policy.TelemetryOptions{ApplicationID: "keyless/" + Version}}
	tokens := identity.NewSource(credential, log)
	s := &clients{tokens: tokens, dialed: dialBus != nil}
	s.model, s.modelErr = llm.New(llm.Config{
		Endpoint:   c.OpenAIEndpoint,
		Deployment: c.OpenAIDeployment,
		Token:      func(ctx context.Context) (string, error) { return tokens.Token(ctx, c.OpenAIAudience) },
		Expire:     func(token string) { tokens.Expire(c.OpenAIAudience, token) },
		HTTPClient: client,
		Log:        log,
	})
	s.pool, s.poolErr = sessions.New(c.PoolEndpoint, tokens, &sessions.Options{ClientOptions: options, Audience: c.PoolAudience})
	s.records, s.closeRecords, s.recordsErr = openStore(c, tokens, options, log)
	if c.BusNamespace != "" || c.BusEmulator != "" {
		s.queue, s.queueErr = queue.New(queue.Config{Namespace: c.BusNamespace, Queue: c.JobsQueue, Credential: tokens, Dial: dialBus, Log: log,
			Local: c.BusEmulator != "", EmulatorConnection: c.BusEmulator})
	}
	return s
}

// failed returns why clients could not be made, or nil.
func (c *clients) failed() error { return errors.Join(c.modelErr, c.poolErr, c.recordsErr, c.queueErr) }

// close ends what goes on in the background, within two seconds.
func (c *clients) close() {
	if c.queue != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = c.queue.Close(ctx) // what it could not send, it has said to whoever sent it
	}
	c.tokens.Close()
	c.closeRecords()
}

// records is what both conversations and jobs are kept in.
type records interface {
	conversation.Store
	jobs.Store
}

func openStore(c Config, tokens azcore.TokenCredential, options azcore.ClientOptions, log *slog.Logger) (records, func(), error) {
	if c.Dir != "" {
		dir, err := store.OpenDir(c.Dir)
		if err != nil {
			return nil, func() {}, err
		}
		return dir, func() { _ = dir.Close() }, nil
	}
	blob, err := store.NewBlob(store.BlobConfig{Endpoint: c.BlobEndpoint, Container: c.BlobContainer, Credential: tokens, Client: options, Log: log})
	return blob, func() {}, err
}

// newTransport returns the transport for all upstreams. Go keeps two idle
// connections a host by default, which under load means a new connection, and
// a TLS handshake, for most calls. It bounds no answer in time: a run of code
// or an unstreamed answer of a model sends nothing until it is done. The ping
// finds connections that died while the instance was frozen.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}
