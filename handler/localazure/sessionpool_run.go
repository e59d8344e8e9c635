package localazure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"keyless/handler/localazure/python"
)

// What the service keeps and takes is not known; these are ours, of a session.
const (
	keptExecutions    = 16 // that have ended, for GET /executions/{id}
	pendingExecutions = 64 // asynchronous ones
)

// execute serves POST /executions and its older form. A synchronous execution
// is answered when it has ended, an asynchronous one at once.
//
// All executions of a session share one interpreter, and run one at a time in
// the order in which they came, asynchronous ones too: the service has a
// connection of its own for each of those, but behind all of them stands one
// Jupyter kernel.
func (p *SessionPool) execute(c *poolCall, s *poolSession) *poolError {
	q, problem := readPoolRequest(c)
	if problem != nil {
		return problem
	}
	begun := time.Now()
	x, problem := p.submit(s, c, q)
	if problem != nil {
		return problem
	}
	if q.async {
		defer p.launch(s, x) // once it has been answered that it has not started
	} else if err := p.perform(c.r.Context(), s, x); err != nil {
		return p.unfinished(c.r.Context(), s, err)
	}
	x.setHeaders(c, s, time.Since(begun))
	return c.answer(c.version.executed, x.answer(c.version, &c.ids))
}

// launch performs an execution in the background. It holds the session.
func (p *SessionPool) launch(s *poolSession, x *poolExecution) {
	p.hold(s)
	p.background.Go(func() {
		defer p.leave(s)
		_ = p.perform(s.ended, s, x) // the execution has it
	})
}

// unfinished says why a synchronous execution has no result.
func (p *SessionPool) unfinished(ctx context.Context, s *poolSession, err error) *poolError {
	switch {
	case ctx.Err() != nil:
		return poolFault(http.StatusRequestTimeout) // nobody reads it
	case s.ended.Err() != nil:
		return poolGone()
	}
	return poolBroken(err)
}

// operationIDs are those that are taken from a caller.
var operationIDs = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// submit adds an execution to the session.
func (p *SessionPool) submit(s *poolSession, c *poolCall, q *poolRequest) (*poolExecution, *poolError) {
	id := c.r.Header.Get("operation-id")
	if !operationIDs.MatchString(id) {
		id = newGUID()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := 0
	for _, x := range s.executions {
		if x.request.async && x.pending() {
			waiting++
		}
	}
	if q.async && waiting >= pendingExecutions {
		return nil, poolFault(http.StatusTooManyRequests)
	}
	x := &poolExecution{id: id, identifier: c.identifier, request: q, status: notStarted, timeouts: s.timeouts, ahead: s.last, done: make(chan struct{})}
	s.executions = append(s.executions, x)
	s.last = x.done
	return x, nil
}

// perform runs the execution when its turn comes and records what came of it.
// It fails if it cannot run it to an end, as when ctx or the session ends.
func (p *SessionPool) perform(ctx context.Context, s *poolSession, x *poolExecution) error {
	defer close(x.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ended, cancel)()
	outcome, err := p.inTurn(ctx, s, x)
	p.config.Log.DebugContext(ctx, "execution", slog.String("ending", string(outcome.Ending)), slog.Duration("took", outcome.Duration), slog.Any("error", err))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		x.conclude(outcome)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		x.status = canceled
	default:
		x.status, x.err = failed, err
	}
	s.forget()
	return err
}

// inTurn runs the execution's code when those ahead have ended, starting
// Python if need be.
func (p *SessionPool) inTurn(ctx context.Context, s *poolSession, x *poolExecution) (python.Outcome, error) {
	if err := s.takeTurn(ctx, x); err != nil {
		return python.Outcome{}, err
	}
	defer func() { <-s.turn }()
	if !p.start(s, x) {
		return python.Outcome{Ending: aborted}, nil
	}
	if s.python == nil {
		started, err := p.config.Start(s.ended, s.data())
		if err != nil {
			return python.Outcome{}, fmt.Errorf("start Python: %w", err)
		}
		s.python = started
	}
	q := x.request
	outcome, err := s.python.Run(ctx, python.Request{Code: q.code, Timeout: q.timeout, MaxStreamBytes: q.maxChars * 4}) // UTF-8 takes four at most
	if err == nil && (outcome.Ending == python.Interrupted || outcome.Ending == python.Killed) {
		p.mu.Lock()
		s.timeouts++
		p.mu.Unlock()
	}
	return outcome, err
}

// takeTurn waits for the execution that came before, and then for the turn:
// one that was canceled while it waited is done before those ahead of it are.
func (s *poolSession) takeTurn(ctx context.Context, x *poolExecution) error {
	select {
	case <-x.ahead:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil { // a select takes either of two that are ready
		<-s.turn
		return err
	}
	return nil
}

// start marks the execution as running, unless one before it timed out while
// it waited.
func (p *SessionPool) start(s *poolSession, x *poolExecution) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.timeouts != x.timeouts {
		return false
	}
	x.status = running
	return true
}

// getExecution serves GET /executions/{id}.
func (p *SessionPool) getExecution(c *poolCall, s *poolSession) *poolError {
	id := c.r.PathValue("id")
	p.mu.Lock()
	at := slices.IndexFunc(s.executions, func(x *poolExecution) bool { return x.id == id })
	if at < 0 {
		p.mu.Unlock()
		return c.answer(http.StatusNotFound, "No execution available for operation Id: "+id) // a bare string, as the service's container says it
	}
	snapshot := *s.executions[at]
	p.mu.Unlock()
	return c.answer(http.StatusOK, snapshot.answer(c.version, &c.ids))
}

// forget drops the oldest of the executions that have ended; the pool's mutex
// is held.
func (s *poolSession) forget() {
	ended := 0
	for _, x := range s.executions {
		if !x.pending() {
			ended++
		}
	}
	s.executions = slices.DeleteFunc(s.executions, func(x *poolExecution) bool {
		drop := ended > keptExecutions && !x.pending()
		if drop {
			ended--
		}
		return drop
	})
}

// setHeaders sets the headers that an execution's answer carries. The times
// are in different formats, as they are on the service
// (Azure-Samples/container-apps-dynamic-sessions-samples,
// code-interpreter/python/python-response-headers.md).
func (x *poolExecution) setHeaders(c *poolCall, s *poolSession, took time.Duration) {
	h := c.w.Header()
	h.Set("operation-id", x.id)
	if !c.version.nested {
		h.Set("Operation-Location", "/executions/"+x.id+"?"+c.r.URL.RawQuery) // without the pool's path, as it was seen
	}
	h.Set("X-Ms-Session-Guid", s.guid)
	if x.result == nil {
		return
	}
	ms := strconv.Itoa(x.result.millis)
	h.Set("X-Ms-Overall-Execution-Time", took.String())
	h.Set("X-Ms-Container-Execution-Duration", ms)
	h.Set("X-Ms-Execution-Request-Time", ms+".000000")
	h.Set("X-Ms-Execution-Read-Response-Time", "0.000000")
	h.Set("X-Ms-Preparation-Time", "0s")
}
