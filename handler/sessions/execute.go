package sessions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

const (
	// MaxRun is the longest that an execution can take. The service ends it
	// then whatever was asked for (Microsoft's page "Serverless code
	// interpreter sessions").
	MaxRun = 220 * time.Second
	// DefaultStreamChars is how much of stdout and of stderr the service
	// returns, in characters, if nothing else is asked for.
	DefaultStreamChars = 4096
)

const (
	// answerLead is how long before the context's deadline the run's own
	// limit lies, so that what was printed until then still arrives.
	answerLead = 2 * time.Second
	// answerMargin is how long an answer may take beyond the run itself: a
	// session may have to be started first, and a throttled call repeated.
	answerMargin = 30 * time.Second
)

// ExecuteRequest is Python to run.
type ExecuteRequest struct {
	// Code is valid UTF-8. The value of its last expression is the result.
	Code string
	// Timeout is how long the code may run, in whole seconds, rounded down;
	// at least a second and at most [MaxRun], which zero means too. It is cut
	// to what the context's deadline leaves.
	Timeout time.Duration
	// MaxStreamChars is how many characters of stdout and of stderr are
	// returned. Zero means [DefaultStreamChars].
	MaxStreamChars int
}

// executeBody is the request's wire form. Code goes as "Inline", a JSON
// string, which carries any text and is what the service's examples do; the
// base64 form is a third longer and gains nothing.
type executeBody struct {
	CodeInputType  string `json:"codeInputType"`
	ExecutionType  string `json:"executionType"`
	Code           string `json:"code"`
	TimeoutSeconds int    `json:"timeoutInSeconds"`
	MaxStreamChars int    `json:"outputStreamsMaxLength,omitempty"`
}

// Execute runs code in the session and waits for it to end. An identifier
// that has no session gets one first.
//
// Code that was run and failed is not an error: see [Execution.Status]. An
// error says that no outcome is known; it is an [*Error] if the pool refused
// or could not be reached, wraps [ErrToken] if there was no token, or the
// context's error. The code is sent again only where the service certainly
// did not run it: it could not be connected to, it answered 429, or it
// answered 503 and named a time to come back. Where it may have run,
// [Error.MayHaveRun] says so.
//
// A session runs one piece of code at a time. Cancelling ctx makes Execute
// return at once; the API has no call to stop what is running.
func (c *Client) Execute(ctx context.Context, identifier string, r ExecuteRequest) (*Execution, error) {
	execution, err := c.execute(ctx, identifier, r)
	if err != nil {
		return nil, fmt.Errorf("execute in a session: %w", err)
	}
	return execution, nil
}

func (c *Client) execute(ctx context.Context, identifier string, r ExecuteRequest) (*Execution, error) {
	if !utf8.ValidString(r.Code) { // JSON cannot carry it, and other code must not be run instead
		return nil, &Error{kind: ErrBadRequest, Message: "The code is not valid UTF-8."}
	}
	limit := runLimit(ctx, r.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit+answerMargin, errNoAnswer)
	defer cancel()
	req, err := c.request(c.retryIf(ctx, declined), http.MethodPost, identifier, "executions")
	if err != nil {
		return nil, err
	}
	err = runtime.MarshalAsJSON(req, executeBody{CodeInputType: "Inline", ExecutionType: "Synchronous",
		Code: r.Code, TimeoutSeconds: int(limit / time.Second), MaxStreamChars: r.MaxStreamChars})
	if err != nil {
		return nil, err
	}
	header, body, err := c.send(req)
	if err != nil {
		return nil, poolFull(err)
	}
	execution, err := decodeExecution(body, streamLimit(r))
	if err != nil {
		return nil, err
	}
	execution.OperationID = header.Get("operation-id")
	execution.SessionGUID = header.Get("X-Ms-Session-Guid")
	return execution, nil
}

func streamLimit(r ExecuteRequest) int {
	if r.MaxStreamChars > 0 {
		return r.MaxStreamChars
	}
	return DefaultStreamChars
}

// runLimit returns how long the code may run: whole seconds, at least one.
func runLimit(ctx context.Context, asked time.Duration) time.Duration {
	limit := MaxRun
	if asked > 0 {
		limit = min(limit, asked)
	}
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)-answerLead)
	}
	return max(limit.Truncate(time.Second), time.Second)
}

// poolFull marks the 404 of an execute: by the documentation it says that the
// pool has no session left, though an endpoint that names no pool gets it too.
func poolFull(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.kind == ErrNotFound {
		e.kind = ErrPoolFull
	}
	return err
}
