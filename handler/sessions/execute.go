package sessions

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
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
	// at least a second and at most [MaxRun], which zero means too. Execute
	// cuts it to what the context's deadline leaves.
	Timeout time.Duration
	// MaxStreamChars is how many characters of stdout and of stderr are
	// returned. Zero means [DefaultStreamChars], and so does any number before
	// 2025-10-02-preview.
	MaxStreamChars int
	// Idempotent says that the code may be run twice: it is then sent again
	// also after a failure that leaves open whether it ran.
	Idempotent bool
}

// Execute runs code in the session and waits for it to end. An identifier
// that has no session gets one first.
//
// Code that was run and failed is not an error: see [Execution.Status]. An
// error says that no outcome is known; it is an [*Error] if the pool refused
// or could not be reached, wraps [ErrToken] if there was no token, or the
// context's error. Unless the request is idempotent, the code is sent again
// only where the service certainly did not run it: it could not be connected
// to, it answered 429, or it answered 503 and named a time to come back. Where
// it may have run, [Error.MayHaveRun] says so.
//
// A session runs one piece of code at a time. Cancelling ctx makes Execute
// return at once; the API has no call to stop what is running, but see
// [SessionOptions.EndOnCancel].
func (c *Client) Execute(ctx context.Context, identifier string, r ExecuteRequest) (*Execution, error) {
	op := operation{name: "execute in a session", method: http.MethodPost, identifier: identifier}
	execution, err := c.execute(ctx, op, r)
	if err != nil {
		return nil, op.failed(err)
	}
	return execution, nil
}

func (c *Client) execute(ctx context.Context, op operation, r ExecuteRequest) (*Execution, error) {
	limit := runLimit(ctx, r.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit+answerMargin, errNoAnswer)
	defer cancel()
	execution, err := c.submit(ctx, op, r, "Synchronous", limit)
	if err != nil || execution.Status.Ended() {
		return execution, err
	}
	if execution.ID == "" {
		return nil, &Error{kind: ErrProtocol, MayHaveRun: true, Message: "The execution has not ended, and has no id to ask for it by."}
	}
	return c.wait(ctx, op.identifier, execution) // it answered 202 and meant it
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

// submit sends the code. Which shape of the body a pool takes does not follow
// from its version alone (Microsoft's own example for 2025-10-02-preview has
// the shape that it refuses). SessionPropertiesMissing says that nothing was
// run; the other shape is then tried once, and kept if it is good.
func (c *Client) submit(ctx context.Context, op operation, r ExecuteRequest, executionType string, limit time.Duration) (*Execution, error) {
	if !utf8.ValidString(r.Code) { // JSON cannot carry it, and other code must not be run instead
		return nil, &Error{kind: ErrBadRequest, Message: "The code is not valid UTF-8."}
	}
	op.path, op.again = "executions", declined
	if c.legacy() {
		op.path = "code/execute"
	}
	if r.Idempotent {
		op.again = transient
	}
	fields := c.executeFields(r, executionType, limit)
	other := c.otherShape.Load()
	execution, err := c.submitAs(ctx, op, fields, c.legacy() != other)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "SessionPropertiesMissing" {
		if second, errOther := c.submitAs(ctx, op, fields, c.legacy() == other); errOther == nil {
			c.otherShape.Store(!other)
			return second, nil
		} else if e, ok := errors.AsType[*Error](errOther); !ok || e.Code != "SessionPropertiesMissing" {
			err = errOther
		}
	}
	return execution, err
}

// submitAs sends fields in one shape of the body.
func (c *Client) submitAs(ctx context.Context, op operation, fields executeFields, wrapped bool) (*Execution, error) {
	var err error
	if wrapped {
		fields.CodeInputType, fields.ExecutionType = strings.ToLower(fields.CodeInputType), strings.ToLower(fields.ExecutionType)
		op.body, err = jsonBody(map[string]executeFields{"properties": fields})
	} else {
		op.body, err = jsonBody(fields)
	}
	if err != nil {
		return nil, err
	}
	header, data, err := c.send(ctx, op)
	if err != nil {
		return nil, poolFull(err)
	}
	return decodeAnswer(header, data, cmp.Or(fields.MaxStreamChars, DefaultStreamChars))
}

// executeFields is the request's wire form. Code goes as "Inline", a JSON
// string, which carries any text and is what the service's examples do; the
// base64 form is a third longer and gains nothing.
type executeFields struct {
	CodeInputType  string `json:"codeInputType"`
	ExecutionType  string `json:"executionType"`
	Code           string `json:"code"`
	TimeoutSeconds int    `json:"timeoutInSeconds"`
	MaxStreamChars int    `json:"outputStreamsMaxLength,omitempty"`
}

func (c *Client) executeFields(r ExecuteRequest, executionType string, limit time.Duration) executeFields {
	fields := executeFields{CodeInputType: "Inline", ExecutionType: executionType, Code: r.Code, TimeoutSeconds: int(limit / time.Second)}
	if c.version >= version2510 {
		fields.MaxStreamChars = max(r.MaxStreamChars, 0)
	}
	return fields
}

// poolFull marks the 404 of an execute: by the documentation it says that the
// pool has no session left, though an endpoint that names no pool gets it too.
func poolFull(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.kind == ErrNotFound {
		e.kind, e.Hint = ErrPoolFull, poolFullHint
	}
	return err
}
