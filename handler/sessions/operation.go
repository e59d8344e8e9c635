package sessions

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// operation is one thing to ask of the pool.
type operation struct {
	name        string // as errors and [Options.OnCall] say it
	since       string // the first api-version that has it; empty: all
	method      string
	path        string // below the endpoint, escaped
	identifier  string
	ofPool      bool // it is on the pool as a whole, and has no identifier
	toContainer bool // it is not of the API, and has no api-version
	query       url.Values
	header      http.Header
	body        *body
	again       func(*http.Response, error) bool // whether a try that went wrong may be repeated
	streamed    bool                             // the caller reads the answer
}

// identifiers is what the service takes by the api-version 2025-10-02-preview;
// its documentation and other versions allow less. What [NewIdentifier] makes
// is good in all of them.
var identifiers = regexp.MustCompile("^[A-Za-z0-9_|}{\\[\\]:\"';<>?/.,@#$%^&*()\\-+=!~`]{4,128}$")

// onSession returns an operation on a session, which may be repeated at will.
func onSession(name, method, identifier, path string) operation {
	return operation{name: name, method: method, path: path, identifier: identifier, again: transient}
}

// failed says in an error what was being done.
func (op operation) failed(err error) error { return fmt.Errorf("%s: %w", op.name, err) }

// send carries op out and returns the header and the body of a good answer.
// Its errors are [*Error], [ErrToken] or those of the context.
func (c *Client) send(ctx context.Context, op operation) (http.Header, []byte, error) {
	resp, err := c.do(ctx, op)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body) // it is in memory: see wholeAnswer
	if err != nil {
		return nil, nil, noAnswer(ctx, err)
	}
	if len(data) > maxAnswerBytes {
		return nil, nil, &Error{kind: ErrProtocol, StatusCode: resp.StatusCode, MayHaveRun: true,
			Message: fmt.Sprintf("The answer is larger than %d bytes.", maxAnswerBytes)}
	}
	return resp.Header, data, nil
}

// do carries op out and returns a good answer, whose body is to be closed.
func (c *Client) do(ctx context.Context, op operation) (*http.Response, error) {
	resp, err := c.exchange(ctx, op)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, refusal(op.identifier, resp)
	}
	return resp, nil
}

// exchange carries op out and returns the answer, whatever it is.
func (c *Client) exchange(ctx context.Context, op operation) (*http.Response, error) {
	if err := c.need(op.name, op.since); err != nil {
		return nil, err
	}
	if !op.ofPool && !identifiers.MatchString(op.identifier) {
		return nil, &Error{kind: ErrBadRequest, Message: "The session identifier must be 4 to 128 letters, digits, hyphens or other ASCII signs, without spaces."}
	}
	req, err := c.request(ctx, op)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	resp, err := c.pipeline.Do(req)
	if c.onCall != nil {
		c.onCall(ctx, newCall(op.name, time.Since(start), resp))
	}
	if err != nil {
		return nil, noAnswer(ctx, err)
	}
	return resp, nil
}

func (c *Client) request(ctx context.Context, op operation) (*policy.Request, error) {
	u := c.endpoint.JoinPath(op.path)
	u.RawQuery = c.query(op).Encode()
	req, err := runtime.NewRequest(c.retryIf(ctx, op.again), op.method, u.String())
	if err != nil {
		return nil, err
	}
	for name, values := range op.header {
		req.Raw().Header[name] = values
	}
	if op.body != nil {
		req.SetOperationValue(*op.body)
	}
	req.SetOperationValue(streamed(op.streamed))
	// azcore would read an answer of any size: wholeAnswer does it in its place.
	runtime.SkipBodyDownload(req)
	return req, nil
}

// query returns what all operations have in theirs, and what op has beside.
func (c *Client) query(op operation) url.Values {
	query := url.Values{}
	maps.Copy(query, op.query)
	if !op.ofPool {
		query.Set("identifier", op.identifier)
	}
	if !op.toContainer {
		query.Set("api-version", c.version)
	}
	return query
}

func newCall(name string, took time.Duration, resp *http.Response) Call {
	call := Call{Operation: name, Duration: took}
	if resp == nil {
		return call
	}
	call.Status = resp.StatusCode
	call.Timings = map[string]string{}
	for header := range resp.Header {
		if strings.HasPrefix(header, "X-Ms-") && (strings.HasSuffix(header, "-Time") || strings.HasSuffix(header, "-Duration")) {
			call.Timings[header] = resp.Header.Get(header)
		}
	}
	return call
}

// decode reads an answer's JSON. Its error is an [*Error] of kind [ErrProtocol].
func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return &Error{kind: ErrProtocol, MayHaveRun: true, cause: err}
	}
	return nil
}
