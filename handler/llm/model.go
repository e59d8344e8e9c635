// Package llm is the agent's model: a deployment of Azure OpenAI, spoken to
// over the Responses API on the v1 path, by managed identity.
//
// It is stateless towards the service: nothing is stored there, and each
// request carries the conversation, with the model's own items (encrypted
// reasoning among them) as the service sent them. See [Model.Next] for one
// step: encode (request.go), post, read what comes back (stream.go), decode
// (answer.go), and say once what went wrong (errors.go).
//
// Of openai-go it imports the responses package alone, since the root package
// more than doubles the binary. The SDK does transport, retries, error bodies
// and SSE framing. The two hot spots are done here: the history is appended to
// the request body as it is, never parsed, and of a stream only the events
// that matter are decoded. The SDK's typed way costs several times as much
// (BenchmarkNext).
package llm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"keyless/handler/agent"
	"keyless/handler/fault"
)

// Config is what a [Model] needs.
type Config struct {
	// Endpoint is the resource's address, such as
	// https://name.openai.azure.com; "/openai/v1" at its end does no harm.
	// It is https, save on loopback.
	Endpoint string
	// Deployment is the deployment's name, not the model's.
	Deployment string
	// Token returns a token for Azure OpenAI's audience. It is asked before
	// each call and so should cache. Its errors are returned unchanged.
	Token func(ctx context.Context) (string, error)
	// Expire is told of a token that the service refused. It may be nil.
	Expire func(token string)
	// HTTPClient makes the calls; nil means [http.DefaultClient]. It must not
	// bound the whole exchange (http.Client.Timeout), and an unstreamed call
	// has no response header before the model is done.
	HTTPClient *http.Client
	// Log may be nil. No token and no content is logged.
	Log *slog.Logger
}

const (
	maxRetries    = 2                // the SDK's, before an answer begins
	maxRetryDelay = 10 * time.Second // a longer Retry-After is the caller's to wait out
	maxAttempts   = 2                // ours, for what the SDK cannot see or mend
)

// Model is a deployment. It is safe for concurrent use.
type Model struct {
	Config
	host    string // of the endpoint, for messages
	service responses.ResponseService
	// plain is set once the deployment has said that it does not reason, and
	// so refuses to be asked for encrypted reasoning.
	plain atomic.Bool
}

var _ agent.Model = (*Model)(nil)

// New returns a model, or an error that says which part of c is unusable.
func New(c Config) (*Model, error) {
	base, err := baseURL(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if c.Deployment == "" || c.Token == nil {
		return nil, errors.New("the model needs a deployment and a source of tokens")
	}
	if c.HTTPClient == nil {
		c.HTTPClient = http.DefaultClient
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	service := responses.NewResponseService(option.WithBaseURL(base.String()), option.WithHTTPClient(c.HTTPClient),
		option.WithMaxRetries(maxRetries), option.WithMaxRetryDelay(maxRetryDelay))
	return &Model{Config: c, host: base.Host, service: service}, nil
}

// baseURL returns the v1 address under endpoint.
func baseURL(endpoint string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Contains(u.Path, "/deployments/") {
		return nil, fmt.Errorf("the Azure OpenAI endpoint %q is not of the form https://<name>.openai.azure.com", endpoint)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("the Azure OpenAI endpoint %q must use https: a token is sent to it", endpoint)
	}
	u.Fragment = ""
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/openai/v1")
	u.Path = strings.TrimSuffix(path, "/openai") + "/openai/v1/"
	return u, nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Next asks the deployment for the next step. With text nil the answer is not
// streamed, which costs less CPU (BenchmarkNext).
//
// The SDK repeats a call that failed before its answer began (408, 409, 429,
// 5xx, no connection) up to two times, waiting up to ten seconds before each.
// On top of that a call is repeated once if there is something to mend (see
// mend) and none of its text has been handed out; never after that.
func (m *Model) Next(ctx context.Context, r agent.Request, text func(string)) (agent.Response, error) {
	shown := false
	show := func(delta string) {
		if text != nil && delta != "" {
			shown = true
			text(delta)
		}
	}
	for attempt := 1; ; attempt++ {
		token, err := m.Token(ctx)
		if err != nil {
			return agent.Response{}, err
		}
		response, err := m.ask(ctx, r, token, text != nil, show)
		if err == nil || shown || attempt == maxAttempts || !m.mend(err, token, &r) {
			return response, err
		}
		m.Log.WarnContext(ctx, "asking the model again", "deployment", m.Deployment, "because", fault.From(err).Code)
	}
}

// mend does what may make a repeat of r succeed, and reports whether there is
// hope.
func (m *Model) mend(err error, token string, r *agent.Request) bool {
	switch fault.From(err).Code {
	case codeUnauthorized:
		if m.Expire == nil {
			return false
		}
		m.Expire(token)
	case codeNoReasoning:
		m.plain.Store(true)
	case codeForeignReasoning:
		r.Items = portable(r.Items)
	case codeCut, codeFailed:
	default:
		return false
	}
	return true
}

// ask makes one call, the SDK's retries included.
func (m *Model) ask(ctx context.Context, r agent.Request, token string, stream bool, show func(string)) (agent.Response, error) {
	var last *http.Response
	res, err := m.post(ctx, m.encode(r, stream), token, &last)
	if err != nil {
		return agent.Response{}, m.classify(ctx, err, last)
	}
	defer res.Body.Close()
	answer, err := read(res, show)
	if err != nil {
		return agent.Response{}, m.classify(ctx, err, res)
	}
	response, err := answer.response()
	if err != nil {
		return agent.Response{}, m.classify(ctx, err, res)
	}
	return response, nil
}

// post sends body and returns the answer, its body unread. last is the last
// attempt's response, whatever its status.
func (m *Model) post(ctx context.Context, body []byte, token string, last **http.Response) (*http.Response, error) {
	var res *http.Response
	_, err := m.service.New(ctx, responses.ResponseNewParams{},
		option.WithRequestBody("application/json", body),
		option.WithHeader("Authorization", "Bearer "+token),
		option.WithMiddleware(watch(last)),
		option.WithResponseBodyInto(&res))
	return res, err
}

// watch keeps the last response, since the SDK forgets a 429 if ctx ends while
// it waits to try again, and bounds what is read of it.
func watch(last **http.Response) option.Middleware {
	return func(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		res, err := next(req)
		if res != nil {
			limit := int64(maxAnswer)
			if res.StatusCode >= http.StatusBadRequest {
				limit = maxErrorBody
			}
			res.Body = http.MaxBytesReader(nil, res.Body, limit)
		}
		*last = res
		return res, err
	}
}
