package app

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"keyless/handler/conversation"
	"keyless/handler/host"
)

const (
	// heartbeat keeps proxies from closing a quiet stream; Azure's load
	// balancer does so after 230 seconds.
	heartbeat = 15 * time.Second
	// writeTime is how long a reader may take to make room for an event. A
	// slower one would hold the turn's memory for as long as it likes.
	writeTime = 30 * time.Second
)

// stream writes server-sent events. The first event writes the header. A
// reader that is gone or too slow cancels ctx, and with it the turn.
type stream struct {
	c      *call
	ctx    context.Context
	cancel context.CancelFunc
	pulse  sync.WaitGroup

	mu   sync.Mutex // guards the connection and what follows
	open bool
	err  error
}

func newStream(c *call) *stream {
	s := &stream{c: c}
	s.ctx, s.cancel = context.WithCancel(c.ctx())
	return s
}

// close ends the heartbeat. Nothing may be sent after it.
func (s *stream) close() {
	s.cancel()
	s.pulse.Wait()
}

func (s *stream) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// event says an event of the turn in the stream's terms.
func (s *stream) event(e conversation.Event) {
	switch {
	case e.ConversationID != "":
		s.send("conversation", map[string]string{"conversation_id": e.ConversationID})
	case e.Begun != nil:
		s.send("code", e.Begun)
	case e.Ended != nil:
		s.send("output", e.Ended)
	default:
		s.send("text", map[string]string{"text": e.Text})
	}
}

func (s *stream) send(name string, data any) {
	encoded, err := encodeJSON(data)
	if err != nil {
		encoded, name = []byte(`{"code":"internal_error","detail":"An event could not be written."}`+"\n"), "error"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		s.begin()
	}
	s.write(fmt.Appendf(nil, "event: %s\ndata: %s\n", name, encoded))
}

// begin writes the header and starts the heartbeat.
func (s *stream) begin() {
	s.open = true
	h := s.c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // for proxies that would hold the events back
	s.c.w.WriteHeader(http.StatusOK)
	s.pulse.Go(s.beat)
}

func (s *stream) beat() {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.mu.Lock()
			s.write([]byte(": still here\n\n"))
			s.mu.Unlock()
		case <-s.ctx.Done():
			return
		}
	}
}

// write sends bytes at once. Its first failure is the end of the turn.
func (s *stream) write(p []byte) {
	if s.err != nil {
		return
	}
	connection := http.NewResponseController(s.c.w)
	_ = connection.SetWriteDeadline(time.Now().Add(writeTime)) // not every writer has one
	if _, s.err = s.c.w.Write(p); s.err == nil {
		s.err = connection.Flush()
	}
	if s.err != nil {
		s.cancel()
	}
}

// failed is the problem for a turn that broke off, with what was done.
func failed(err error, c *call, reply conversation.Reply) problem {
	p := problemOf(err, host.From(c.ctx()))
	if len(reply.Steps) > 0 {
		p.Turn = reply
	}
	return p
}
