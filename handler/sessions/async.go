package sessions

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// How long WaitExecution waits between two looks: at first, and at most.
const (
	firstPoll = 250 * time.Millisecond
	lastPoll  = 5 * time.Second
)

// StartExecution begins to run code in the session and does not wait for it to
// end: the execution is then [NotStarted] or [Running], though a short one may
// have ended. r.Timeout bounds the run, not ctx. Its errors are those of
// [Client.Execute]. It needs 2024-10-02-preview or later; whether a pool
// offers it is up to the pool.
func (c *Client) StartExecution(ctx context.Context, identifier string, r ExecuteRequest) (*Execution, error) {
	op := operation{name: "start an execution", since: version2410, method: http.MethodPost, identifier: identifier}
	execution, err := c.submit(ctx, op, r, "Asynchronous", runLimit(context.Background(), r.Timeout))
	if err == nil && execution.ID == "" {
		err = &Error{kind: ErrProtocol, MayHaveRun: true, Message: "The execution has no id to ask for it by."}
	}
	if err != nil {
		return nil, op.failed(err)
	}
	return execution, nil
}

// GetExecution returns the execution with that id as it is now. The error is
// [ErrNotFound] if there is none; being harmless, the call is repeated
// whatever went wrong. It needs 2024-10-02-preview or later.
//
// Where the service does not say how long the streams may be,
// [Execution.Truncated] is judged by [DefaultStreamChars].
func (c *Client) GetExecution(ctx context.Context, identifier, id string) (*Execution, error) {
	execution, _, err := c.getExecution(ctx, identifier, id, DefaultStreamChars)
	return execution, err
}

// getExecution also returns the time that the service asks to wait before the
// next look.
func (c *Client) getExecution(ctx context.Context, identifier, id string, maxChars int) (*Execution, time.Duration, error) {
	// Operation-Location is not followed: it was seen to lack the pool's path.
	op := onSession("get an execution", http.MethodGet, identifier, "executions/"+url.PathEscape(id))
	op.since = version2410
	if id == "" || id == "." || id == ".." {
		return nil, 0, op.failed(&Error{kind: ErrBadRequest, Message: "This cannot be the id of an execution."})
	}
	header, data, err := c.send(ctx, op)
	if err != nil {
		return nil, 0, op.failed(err)
	}
	execution, err := decodeAnswer(header, data, maxChars)
	if err != nil {
		return nil, 0, op.failed(err)
	}
	return execution, retryAfter(header), nil
}

// WaitExecution waits until the execution has ended, looking in growing
// intervals of up to five seconds, and returns it. What started has to be is
// the answer of [Client.StartExecution], or &Execution{ID: id}. Only ctx
// bounds the wait; when it ends, the execution goes on.
func (c *Client) WaitExecution(ctx context.Context, identifier string, started *Execution) (*Execution, error) {
	if started.Status.Ended() {
		return started, nil
	}
	return c.wait(ctx, identifier, started)
}

func (c *Client) wait(ctx context.Context, identifier string, e *Execution) (*Execution, error) {
	maxChars := e.maxChars
	if maxChars == 0 {
		maxChars = DefaultStreamChars
	}
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		now, asked, err := c.getExecution(ctx, identifier, e.ID, maxChars)
		if err != nil || now.Status.Ended() {
			return now, err
		}
		jitter := 0.8 + 0.4*rand.Float64()
		if err := pauseFor(ctx, max(time.Duration(float64(pause)*jitter), asked)); err != nil {
			return nil, err
		}
	}
}

// pauseFor waits for d or the end of ctx.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return noAnswer(ctx, errors.New("the execution has not ended"))
	}
}
