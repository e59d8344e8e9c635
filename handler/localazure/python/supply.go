package python

import (
	"context"
	"runtime"
	"sync"
)

// supply keeps one worker ready, and starts as many as are waited for: when
// many sessions begin at once, as many at a time as there are processors.
type supply struct {
	engine *Engine
	ready  chan started
	// slots has an element for each worker that may be starting. At first
	// that is one, which fills the cache for all others.
	slots chan struct{}
	first sync.Once

	mu      sync.Mutex
	waiting int // callers of take
	coming  int // workers that are starting or ready
}

// started is a worker that has started, or why it has not.
type started struct {
	process *process
	err     error
}

func newSupply(e *Engine) *supply {
	s := &supply{engine: e, ready: make(chan started), slots: make(chan struct{}, runtime.NumCPU())}
	s.slots <- struct{}{}
	s.change(0, 0)
	return s
}

// change counts callers and workers that come and go, and starts workers
// until there is one for each caller and one to spare.
func (s *supply) change(waiting, coming int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += waiting
	s.coming += coming
	for s.coming < s.waiting+1 && s.engine.alive.Err() == nil {
		s.coming++
		s.engine.running.Go(s.start)
	}
}

// start starts a worker and keeps it until it is taken, dies, or the engine
// is closed.
func (s *supply) start() {
	<-s.slots
	var p started
	p.process, p.err = s.engine.startProcess()
	s.slots <- struct{}{}
	s.first.Do(func() {
		for range cap(s.slots) - 1 {
			s.slots <- struct{}{}
		}
	})
	var gone chan struct{}
	if p.err == nil {
		gone = p.process.gone
	}
	select {
	case s.ready <- p: // whoever takes it counts it
	case <-gone:
		s.change(0, -1)
	case <-s.engine.alive.Done():
	}
}

// take returns a worker that is ready.
func (s *supply) take(ctx context.Context) (*process, error) {
	s.change(+1, 0)
	select {
	case p := <-s.ready:
		s.change(-1, -1)
		return p.process, p.err
	case <-ctx.Done():
		s.change(-1, 0)
		return nil, ctx.Err()
	case <-s.engine.alive.Done():
		return nil, ErrClosed
	}
}
