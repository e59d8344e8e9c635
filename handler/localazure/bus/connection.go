package bus

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	// idleTimeout is after how much silence of a client its connection is
	// cut; half of it is advertised, as the specification asks.
	idleTimeout = 4 * time.Minute
	// heartbeat is how often a client hears something at least, unless it
	// asks for more.
	heartbeat = 15 * time.Second
	// channelMax bounds the sessions of a connection.
	channelMax = 4999
)

// conn is a connection. All fields below net are guarded by the broker's
// mutex.
type conn struct {
	b   *Broker
	net net.Conn

	sessions map[uint16]*session
	claims   map[string]time.Time // paths that a token was put for, and when it expires

	out       []byte        // to be written
	wake      chan struct{} // tells the writer of it; holds one
	gone      chan struct{} // closed when the reader has ended
	closing   bool          // the broker said that the connection ends
	last      bool          // close once out is written
	maxFrame  int           // of the client, bytes
	heartbeat time.Duration

	held  []frame // kept while the broker is silent
	ended bool    // the reader ended while the broker was silent
}

func newConn(b *Broker, nc net.Conn) *conn {
	return &conn{b: b, net: nc, sessions: map[uint16]*session{}, claims: map[string]time.Time{},
		wake: make(chan struct{}, 1), gone: make(chan struct{}), maxFrame: 512, heartbeat: heartbeat}
}

// serve runs a connection's reader and writer.
func (b *Broker) serve(nc net.Conn) {
	c := newConn(b, nc)
	b.do(func() {
		if b.closed {
			c.cut()
			return
		}
		b.conns[c] = true
		b.running.Go(c.read)
		b.running.Go(c.write)
	})
}

// read hands what arrives to receive, until the connection ends.
func (c *conn) read() {
	defer close(c.gone)
	r := bufio.NewReaderSize(c.net, maxFrameBytes)
	for {
		_ = c.net.SetReadDeadline(time.Now().Add(idleTimeout))
		f, err := readFrame(r)
		if err != nil {
			c.fail(err)
			return
		}
		c.b.do(func() {
			if c.b.faults.silent {
				c.held = append(c.held, f)
				return
			}
			c.receive(f)
		})
	}
}

// fail ends the connection because reading it failed.
func (c *conn) fail(err error) {
	c.b.do(func() {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) {
			c.b.note("a Service Bus connection broke", "err", err)
		}
		if c.ended = c.b.faults.silent; !c.ended {
			c.end()
		}
	})
	c.cut()
}

// write writes what is to be sent, and heartbeats, until the connection ends.
func (c *conn) write() {
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	var buf []byte
	for last := false; !last; {
		late := false
		select {
		case <-c.gone:
			return
		case <-c.wake:
		case <-beat.C:
			late = true
		}
		c.b.do(func() {
			buf, last = c.take(buf[:0], late)
			beat.Reset(c.heartbeat)
		})
		if len(buf) == 0 {
			continue
		}
		if _, err := c.net.Write(buf); err != nil {
			break
		}
	}
	_ = c.net.Close()
}

// take returns what is to be written now, and whether it is the last of it.
// The memory of spare is used for what comes next.
func (c *conn) take(spare []byte, late bool) ([]byte, bool) {
	if c.b.faults.silent {
		return spare, false
	}
	if late && len(c.out) == 0 {
		c.out = append(c.out, 0, 0, 0, 8, 2, kindAMQP, 0, 0)
	}
	out := c.out
	c.out = spare
	return out, c.last
}

// send appends a frame to what is to be written.
func (c *conn) send(channel uint16, code uint64, list []any, payload []byte) {
	c.out = appendFrame(c.out, kindAMQP, channel, code, list, payload)
	c.rouse()
}

// rouse has the writer look.
func (c *conn) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// cut breaks the connection without a word. A TLS connection's own Close would
// say goodbye, and may wait to do so.
func (c *conn) cut() {
	if t, ok := c.net.(*tls.Conn); ok {
		_ = t.NetConn().Close()
		return
	}
	_ = c.net.Close()
}

// end forgets the connection and lets go of what its links hold.
func (c *conn) end() {
	delete(c.b.conns, c)
	c.release()
}

// release lets go of what the links hold.
func (c *conn) release() {
	for _, s := range c.sessions {
		s.end()
	}
	clear(c.sessions)
}

// close says that the connection ends, and why. What still comes is dropped;
// the client closes the connection.
func (c *conn) close(why *refusal) {
	if c.closing {
		return
	}
	c.closing = true
	c.release()
	c.send(0, codeClose, []any{why.value()}, nil)
}

// receive handles one frame.
func (c *conn) receive(f frame) {
	switch f.kind {
	case kindHeader:
		c.header(byte(f.code))
	case kindSASL:
		c.sasl(f)
	case kindAMQP:
		c.perform(f)
	}
}

// header answers a protocol header with the same one, and offers SASL's
// mechanisms: those that Service Bus offers.
func (c *conn) header(protocol byte) {
	c.out = append(c.out, 'A', 'M', 'Q', 'P', protocol, 1, 0, 0)
	if protocol == 3 {
		mechanisms := []symbol{"MSSBCBS", "ANONYMOUS", "EXTERNAL"}
		c.out = appendFrame(c.out, kindSASL, 0, codeSASLMechanisms, []any{mechanisms}, nil)
	}
	c.rouse()
}

// sasl lets everybody in: who may do what is decided by the tokens put on $cbs.
func (c *conn) sasl(f frame) {
	if f.code == codeSASLInit {
		c.out = appendFrame(c.out, kindSASL, 0, codeSASLOutcome, []any{uint8(0)}, nil)
		c.rouse()
	}
}

// perform handles a frame of the connection itself, and hands others to their
// session.
func (c *conn) perform(f frame) {
	switch {
	case f.code == codeClose:
		if !c.closing {
			c.send(0, codeClose, nil, nil)
		}
		c.last = true
		c.rouse()
	case f.code == 0 || c.closing: // a heartbeat, or too late
	case f.code == codeOpen:
		c.open(f.fields)
	case f.code == codeBegin:
		c.begin(f)
	default:
		s := c.sessions[f.channel]
		if s == nil {
			c.close(&refusal{condNotAllowed, fmt.Sprintf("channel %d is not in use", f.channel)})
			return
		}
		s.receive(f)
	}
}

// open takes the client's bounds and answers with the broker's.
func (c *conn) open(f fields) {
	c.maxFrame = maxFrameBytes
	if n := field[uint32](f, 2); n != 0 {
		c.maxFrame = min(maxFrameBytes, max(512, int(n)))
	}
	if idle := field[uint32](f, 4); idle != 0 {
		c.heartbeat = min(heartbeat, time.Duration(idle)*time.Millisecond/2)
	}
	c.send(0, codeOpen, []any{"keyless-bus", nil, uint32(maxFrameBytes), uint16(channelMax),
		uint32(idleTimeout / 2 / time.Millisecond)}, nil)
}

// begin opens a session, on the client's own channel number.
func (c *conn) begin(f frame) {
	if f.channel > channelMax || c.sessions[f.channel] != nil {
		c.close(&refusal{condNotAllowed, fmt.Sprintf("channel %d cannot be begun", f.channel)})
		return
	}
	s := &session{c: c, channel: f.channel, links: map[uint32]*link{}, unsettled: map[uint32]*delivery{},
		nextIncoming: field[uint32](f.fields, 1), window: field[uint32](f.fields, 2)}
	c.sessions[f.channel] = s
	c.send(f.channel, codeBegin, []any{f.channel, uint32(0), uint32(incomingWindow), uint32(outgoingWindow)}, nil)
}
