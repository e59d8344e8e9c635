package localazure

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// poolSession is one session: what the service calls a container. Nothing of
// it outlives it; a later call with its identifier gets another one.
type poolSession struct {
	guid    string   // names the container
	root    *os.Root // the session's directory: dataDir in it, and uploads that are under way
	created time.Time
	ended   context.Context // ends when the session is taken out of the pool
	end     context.CancelFunc

	turn   chan struct{} // full while code runs; guards python
	python PythonSession // nil until the first execution

	// Guarded by the pool's mutex.
	calls      int // in progress
	accessed   time.Time
	idle       *time.Timer      // ends the session, unless there are calls
	executions []*poolExecution // those under way and the last that ended, oldest first
	timeouts   int              // executions that have run into their limit
	last       <-chan struct{}  // closed when the last execution that came is done
}

// dataDir is where a session's files are, in the session's directory. The code
// sees it as /mnt/data.
const dataDir = "data"

// data returns the path of the session's files on this machine.
func (s *poolSession) data() string { return filepath.Join(s.root.Name(), dataDir) }

// enter finds the session and keeps it from expiring until leave is called.
// If there is none, it allocates one, or says that it is gone.
func (p *SessionPool) enter(identifier string, allocate bool) (*poolSession, *poolError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[identifier]
	switch {
	case s == nil && !allocate:
		return nil, poolGone()
	case s == nil && len(p.sessions) >= p.config.MaxSessions:
		return nil, poolFull(p.config.FullStatus)
	case s == nil:
		var err error
		if s, err = p.allocate(identifier); err != nil {
			return nil, poolBroken(err)
		}
	}
	s.calls++
	s.accessed = time.Now()
	return s, nil
}

// hold is enter for a session that has been entered, and will be left once
// more.
func (p *SessionPool) hold(s *poolSession) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.calls++
}

// leave starts the session's cooldown anew.
func (p *SessionPool) leave(s *poolSession) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.calls--
	s.accessed = time.Now()
	if s.calls == 0 && s.ended.Err() == nil {
		s.idle.Reset(p.config.Cooldown)
	}
}

// allocate makes a session; the pool's mutex is held.
func (p *SessionPool) allocate(identifier string) (*poolSession, error) {
	s := &poolSession{guid: newGUID(), created: time.Now().UTC(), turn: make(chan struct{}, 1)}
	dir := filepath.Join(p.config.Dir, s.guid)
	if err := os.MkdirAll(filepath.Join(dir, dataDir), 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s.root = root
	none := make(chan struct{})
	close(none)
	s.last = none
	s.ended, s.end = context.WithCancel(context.Background())
	s.idle = time.AfterFunc(p.config.Cooldown, func() { p.expire(identifier, s) })
	p.sessions[identifier] = s
	return s, nil
}

// expire ends s if it is still there and idle: a call may have come between
// the timer and the lock.
func (p *SessionPool) expire(identifier string, s *poolSession) {
	p.mu.Lock()
	due := p.sessions[identifier] == s && s.calls == 0 && time.Since(s.accessed) >= p.config.Cooldown
	if due {
		p.remove(identifier)
	}
	p.mu.Unlock()
	if due {
		p.discard(s)
	}
}

// discard closes a session that was taken out of the pool.
func (p *SessionPool) discard(s *poolSession) {
	if err := s.close(); err != nil {
		p.config.Log.Warn("a session left something behind", slog.Any("error", err))
	}
}

// take takes the session out of the pool; it is nil if there is none.
func (p *SessionPool) take(identifier string) *poolSession {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remove(identifier)
}

// remove is take with the pool's mutex held.
func (p *SessionPool) remove(identifier string) *poolSession {
	s := p.sessions[identifier]
	if s != nil {
		delete(p.sessions, identifier)
		s.idle.Stop()
		s.end()
	}
	return s
}

// close frees what the session holds, once the code that runs in it has been
// stopped. The session is out of the pool, and nobody else closes it.
func (s *poolSession) close() error {
	s.turn <- struct{}{} // never given back: nothing runs in it again
	var err error
	if s.python != nil {
		err = s.python.Close()
	}
	return errors.Join(err, s.root.Close(), os.RemoveAll(s.root.Name()))
}

// newGUID returns a random id as the service writes them.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])                      // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562, version 4
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Close ends all sessions. It is called when requests have ceased.
func (p *SessionPool) Close() error {
	p.mu.Lock()
	identifiers := slices.Collect(maps.Keys(p.sessions))
	p.mu.Unlock()
	var errs []error
	for _, identifier := range identifiers {
		if s := p.take(identifier); s != nil {
			errs = append(errs, s.close())
		}
	}
	p.background.Wait()
	return errors.Join(errs...)
}
