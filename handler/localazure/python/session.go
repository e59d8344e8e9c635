package python

import (
	"context"
	"fmt"
)

// Session is one interpreter: its variables, and a directory of the host's.
// It is safe for concurrent use; runs wait for each other.
type Session struct {
	engine *Engine
	dir    string
	alive  context.Context // until Close, of the session or the engine
	stop   context.CancelFunc

	turn chan struct{} // has an element while somebody uses what follows
	// process is nil after the interpreter died: the next run gets another.
	process *process
	cells   int
}

// Run runs code and tells what came of it, be it well or badly: an error is
// the sandbox's own failure, or ctx's end. When ctx ends, Run returns at once;
// the code is interrupted and, if it does not yield, killed, and the next run
// waits for that. It fails with [ErrClosed] on a closed session.
func (s *Session) Run(ctx context.Context, r Request) (Outcome, error) {
	if len(r.Code) > maxCode {
		return Outcome{}, fmt.Errorf("code of %d bytes, at most %d can be run", len(r.Code), maxCode)
	}
	r.MaxStreamBytes = max(r.MaxStreamBytes, 0)
	if err := s.take(ctx); err != nil {
		return Outcome{}, err
	}
	type result struct {
		outcome Outcome
		err     error
	}
	results := make(chan result, 1)
	go func() {
		defer s.release()
		outcome, err := s.run(ctx, r)
		results <- result{outcome, err}
	}()
	select {
	case r := <-results:
		return r.outcome, r.err
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
}

// take waits for the session to be free.
func (s *Session) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.alive.Done():
		return ErrClosed
	}
}

func (s *Session) release() { <-s.turn }

// run runs code in the session's worker, or in a new one if it has died.
func (s *Session) run(ctx context.Context, r Request) (Outcome, error) {
	if err := s.revive(ctx); err != nil {
		return Outcome{}, err
	}
	s.cells++
	x := &execution{process: s.process, request: r, number: s.cells}
	outcome := x.run(ctx)
	if s.alive.Err() != nil {
		return Outcome{}, ErrClosed
	}
	if outcome.Ending == Killed || outcome.Ending == Crashed {
		s.process = nil
	}
	return outcome, nil
}

// revive gives the session a worker unless it has one.
func (s *Session) revive(ctx context.Context) error {
	if s.alive.Err() != nil {
		return ErrClosed
	}
	if s.process != nil {
		return nil
	}
	p, err := s.engine.supply.take(ctx)
	if err != nil {
		return err
	}
	context.AfterFunc(s.alive, p.kill)
	if err := p.order(ctx, order{Open: s.dir}, func(r report) bool { return r.Opened }); err != nil {
		p.kill()
		return fmt.Errorf("open the session's directory in a Python worker: %w", err)
	}
	s.process = p
	return nil
}

// Close ends the session and what runs in it, and waits until its worker is
// gone. The files stay.
func (s *Session) Close() error {
	s.stop()
	s.turn <- struct{}{} // whoever had it was ended by stop
	defer s.release()
	if s.process != nil {
		<-s.process.gone
	}
	return nil
}
