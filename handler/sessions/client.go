// Package sessions is a client of the dynamic sessions REST API of Azure
// Container Apps: it runs Python in the sessions of a code interpreter pool.
//
// A session is named by an identifier that the caller makes up. The service
// starts one the first time an identifier is used, keeps its variables and
// files between executions, and ends it once it was left alone for the pool's
// cooldown period. Whoever holds a token for the pool and an identifier owns
// that session, so identifiers are to be unguessable; this package never puts
// one into an error or a log.
//
// The package imports nothing of this program and can be used on its own. It
// rests on azcore's pipeline, so [azcore.ClientOptions] say what they say for
// every Azure client: transport, retries, telemetry, logging, tracing.
//
// The wire contract is the one in the repository Azure/azure-rest-api-specs,
// folder specification/app/data-plane/Microsoft.App.DynamicSessions; where the
// service was seen to differ from it, a comment says so.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

const (
	// DefaultAPIVersion is the newest api-version of the service.
	DefaultAPIVersion = "2025-10-02-preview"
	// DefaultAudience is the scope of a token that the service accepts.
	DefaultAudience = "https://dynamicsessions.io/.default"
)

// maxAnswerBytes bounds an answer that is read into memory: both streams, and
// one image in base64.
const maxAnswerBytes = 64 << 20

// Options changes how a [Client] works. The zero value is good.
type Options struct {
	// ClientOptions are azcore's. APIVersion is [DefaultAPIVersion] if empty.
	// Transport, if it is an [*http.Client], is used without following
	// redirects, since they would carry the token elsewhere; any other kind
	// of Transporter must see to that itself. Nil is Go's default transport,
	// which keeps only two idle connections.
	azcore.ClientOptions
	// Audience is the scope to get tokens for, with or without "/.default".
	// Empty means [DefaultAudience].
	Audience string
}

// Client talks to one session pool. It is safe for concurrent use.
type Client struct {
	endpoint *url.URL
	pipeline runtime.Pipeline
	retry    policy.RetryOptions
}

// New returns a client of the pool at endpoint, which is the pool's
// poolManagementEndpoint:
//
//	https://<region>.dynamicsessions.io/subscriptions/<id>/resourceGroups/<group>/sessionPools/<pool>
//
// It has to be https, or http to this very machine. The path of an operation
// at its end, as some samples have it, is cut off. New makes no request.
func New(endpoint string, cred azcore.TokenCredential, options *Options) (*Client, error) {
	base, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, fmt.Errorf("session pool endpoint: %w", err)
	}
	if cred == nil {
		return nil, errors.New("session pool: no credential")
	}
	var o Options
	if options != nil {
		o = *options
	}
	if o.APIVersion == "" {
		o.APIVersion = DefaultAPIVersion
	}
	o.Transport = withoutRedirects(o.Transport)
	auth := runtime.NewBearerTokenPolicy(credential{cred}, []string{scope(o.Audience)}, &policy.BearerTokenOptions{
		InsecureAllowCredentialWithHTTP: base.Scheme == "http", // parseEndpoint saw that it is loopback
	})
	pipeline := runtime.NewPipeline("sessions", "v0.1.0", runtime.PipelineOptions{
		AllowedQueryParameters: []string{"api-version"},
		APIVersion:             runtime.APIVersionOptions{Name: "api-version"},
		PerRetry:               []policy.Policy{auth, ownBody{}},
	}, &o.ClientOptions)
	return &Client{endpoint: base, pipeline: pipeline, retry: o.Retry}, nil
}

// scope returns audience as a scope.
func scope(audience string) string {
	if audience == "" {
		return DefaultAudience
	}
	return strings.TrimSuffix(strings.TrimSuffix(audience, "/.default"), "/") + "/.default"
}

// parseEndpoint checks endpoint and returns it without the path of an
// operation or a slash at its end.
func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("want https://host/path and nothing else")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, fmt.Errorf("a token may not be sent to %s://%s: want https", u.Scheme, u.Host)
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	for _, operation := range []string{"/executions", "/python/execute", "/code/execute"} {
		path = strings.TrimSuffix(path, operation)
	}
	return u.Parse(path + "/")
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// withoutRedirects returns t such that it hands a redirect back in place of
// following it. Go's client drops the token only when the host name changes,
// so it would send it to another port, or in the clear.
func withoutRedirects(t policy.Transporter) policy.Transporter {
	var client http.Client
	switch t := t.(type) {
	case nil:
	case *http.Client:
		client = *t
	default:
		return t
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// credential marks the errors of a credential, so that they are not taken for
// the pool's.
type credential struct{ azcore.TokenCredential }

func (c credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.TokenCredential.GetToken(ctx, o)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrToken, err)
	}
	return token, err
}

// identifiers is narrower than what the service takes. The api-versions differ
// in what they allow; these characters are good in each, and in a URL.
var identifiers = regexp.MustCompile(`^[A-Za-z0-9-]{4,128}$`)

// request returns a request for an operation on a session.
func (c *Client) request(ctx context.Context, method, identifier, operation string) (*policy.Request, error) {
	if !identifiers.MatchString(identifier) {
		return nil, &Error{kind: ErrBadRequest, Message: "The session identifier must be 4 to 128 letters, digits or hyphens."}
	}
	req, err := runtime.NewRequest(ctx, method, c.endpoint.JoinPath(operation).String())
	if err != nil {
		return nil, err
	}
	req.Raw().URL.RawQuery = url.Values{"identifier": {identifier}}.Encode()
	// The pipeline would read an answer of any size, and repeat a GET whose
	// answer breaks off. send reads it, up to a bound.
	runtime.SkipBodyDownload(req)
	return req, nil
}

// send returns the header and the body of a good answer. Its errors are
// [*Error], [ErrToken] or those of the request's context.
func (c *Client) send(req *policy.Request) (http.Header, []byte, error) {
	ctx := req.Raw().Context()
	resp, err := c.pipeline.Do(req)
	if err != nil {
		return nil, nil, noAnswer(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, nil, refusal(req.Raw(), resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, nil, noAnswer(ctx, err)
	case len(body) > maxAnswerBytes:
		return nil, nil, &Error{kind: ErrProtocol, StatusCode: resp.StatusCode, MayHaveRun: true,
			Message: fmt.Sprintf("The answer is larger than %d bytes.", maxAnswerBytes)}
	}
	return resp.Header, body, nil
}
