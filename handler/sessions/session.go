package sessions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// endTime bounds how long it may take to end a session after its context did.
const endTime = 30 * time.Second

// errClosed is the cause of a context that ended because of [Session.Close].
var errClosed = fmt.Errorf("the session was closed: %w", ErrSessionGone)

// SessionOptions changes how a [Session] works. The zero value is good.
type SessionOptions struct {
	// EndOnCancel ends the session when the context of an Execute ends before
	// the code does: it is the only way to stop code. Execute returns at once;
	// the next one waits until the session has ended, and gets a fresh one.
	EndOnCancel bool
	// Container is what [Session.Container] returned of an earlier handle of
	// the same session, so that its loss is noticed across handles.
	Container string
}

// Session is a handle of one session. It runs one piece of code at a time,
// notices when the session's state is lost, and ends the session when it is
// closed. It is safe for concurrent use. Other handles of the same session,
// here or elsewhere, are not known to it.
//
// Printed or logged in any way it tells an alias and not the identifier.
type Session struct {
	client     *Client
	identifier string
	options    SessionOptions
	turn       chan struct{} // is full while code runs, or the session is being ended
	closed     context.Context
	close      context.CancelCauseFunc

	mu        sync.Mutex
	container string // the SessionGUID of the last execution
	etag      string // of the last look
	lost      Loss   // what the next execution has to tell
}

// Session returns a handle of the session with that identifier. It asks
// nothing of the service; a bad identifier shows at the first call.
func (c *Client) Session(identifier string, options *SessionOptions) *Session {
	s := &Session{client: c, identifier: identifier, turn: make(chan struct{}, 1)}
	if options != nil {
		s.options = *options
	}
	s.container = s.options.Container
	s.closed, s.close = context.WithCancelCause(context.Background())
	return s
}

// NewSession returns a handle of a new session, with an identifier that nobody
// can guess. The service starts it at the first call.
func (c *Client) NewSession(options *SessionOptions) *Session {
	return c.Session(NewIdentifier(), options)
}

// Identifier returns what names the session to the other calls of [Client].
// Whoever has it and a token owns the session.
func (s *Session) Identifier() string { return s.identifier }

// Container names the container that the last execution ran in, or is empty.
func (s *Session) Container() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.container
}

// Execute is [Client.Execute] in this session. It waits until the execution
// before has ended. [Execution.Lost] tells whether what earlier executions
// left is still there. After Close the error is [ErrSessionGone].
func (s *Session) Execute(ctx context.Context, r ExecuteRequest) (*Execution, error) {
	if err := s.take(ctx); err != nil {
		return nil, fmt.Errorf("execute in a session: %w", err)
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(s.closed, func() { stop(errClosed) })()

	e, err := s.client.Execute(running, s.identifier, r)
	switch {
	case err == nil:
		s.note(e)
	case s.closed.Err() != nil && ctx.Err() == nil:
		err = fmt.Errorf("execute in a session: %w", errClosed)
	case ctx.Err() != nil && s.options.EndOnCancel:
		go s.endAfter(ctx) // it gives the turn back
		return nil, err
	}
	s.release()
	return e, err
}

// take waits for the turn to run code.
func (s *Session) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed.Done():
		return errClosed
	}
	err := ctx.Err()
	if s.closed.Err() != nil {
		err = errClosed
	}
	if err != nil { // the turn was free as well
		s.release()
	}
	return err
}

func (s *Session) release() { <-s.turn }

// endAfter ends the session on behalf of ctx, which has ended.
func (s *Session) endAfter(ctx context.Context) {
	defer s.release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if s.client.DeleteSession(ctx, s.identifier) == nil {
		s.loseAll()
	}
}

// note compares the container of an execution with that of the one before.
func (s *Session) note(e *Execution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.SessionGUID != "" {
		if s.container != "" && s.container != e.SessionGUID {
			s.lost = EverythingLost
			s.etag = ""
		}
		s.container = e.SessionGUID
	}
	e.Lost = cmp.Or(s.lost, e.Lost)
	s.lost = NothingLost
}

// loseAll notes that the session is gone. A handle that has seen nothing of it
// has nothing to lose.
func (s *Session) loseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.container != "" || s.etag != "" {
		s.lost = EverythingLost
	}
}

// Info is [Client.GetSession] of this session. A new ETag is a new container,
// which [Execution.Lost] of the next execution tells: it serves pools that do
// not name the container with each execution.
func (s *Session) Info(ctx context.Context) (*SessionInfo, error) {
	info, err := s.client.GetSession(ctx, s.identifier)
	if errors.Is(err, ErrNotFound) {
		s.loseAll()
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.etag != "" && s.etag != info.ETag {
		s.lost = EverythingLost
	}
	s.etag = info.ETag
	return info, nil
}

// Close ends the session; an Execute that is under way returns at once with
// [ErrSessionGone]. That the session is gone already is not an error, and
// Close may be called again. It needs what [Client.DeleteSession] needs.
func (s *Session) Close(ctx context.Context) error {
	s.close(errClosed)
	select {
	case s.turn <- struct{}{}: // what ran has returned, so that nothing starts the session anew
		defer s.release()
	case <-ctx.Done():
		return fmt.Errorf("delete a session: %w", ctx.Err())
	}
	return s.client.DeleteSession(ctx, s.identifier)
}

// String returns the session's alias.
func (s *Session) String() string { return alias(s.identifier) }

// Format prints the alias by any verb.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue is what a log gets.
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.String()) }
