package bus

import "time"

// TokenFault is what goes wrong with a token put on $cbs. The zero value is no
// fault.
type TokenFault struct {
	Status int           // answer with this status in place of the real answer; 0: do not
	Delay  time.Duration // answer so much later
}

// Outcome is what becomes of a message that a sender sends.
type Outcome int

const (
	Store          Outcome = iota // store and answer: no fault
	StoreAndCut                   // store, then cut the connection in place of answering
	StoreAndSilent                // store, and never answer
	Lose                          // neither store nor answer
)

// SendFault is what goes wrong with a message that a sender sends. The zero
// value is no fault.
type SendFault struct {
	// Condition rejects the message with this AMQP error condition, such as
	// com.microsoft:server-busy; empty: do not.
	Condition string
	// Outcome says what else happens to it, if it is not rejected.
	Outcome Outcome
	// Delay answers (or cuts) so much later; the message is stored at once.
	Delay time.Duration
}

// faults is what is to go wrong. It is guarded by the broker's mutex.
type faults struct {
	onToken func(audience string) TokenFault
	onSend  func(queue, messageID string) SendFault
	silent  bool
}

// OnToken has hook asked about each token that a client puts, with its
// audience (amqp[s]://namespace/entity); nil ends that. The hook runs under
// the broker's mutex: it must not call the broker.
func (b *Broker) OnToken(hook func(audience string) TokenFault) {
	b.do(func() { b.faults.onToken = hook })
}

// OnSend has hook asked about each transfer (a message or a batch, whose id
// is that of its first message) that a client sends to a queue; nil ends that.
// The hook runs under the broker's mutex: it must not call the broker.
func (b *Broker) OnSend(hook func(queue, messageID string) SendFault) {
	b.do(func() { b.faults.onSend = hook })
}

// CutConnections breaks all connections without a word.
func (b *Broker) CutConnections() {
	b.do(func() {
		for c := range b.conns {
			c.cut()
		}
	})
}

// CloseConnections closes all connections with an AMQP error, as the service
// does when it moves to another machine.
func (b *Broker) CloseConnections() {
	b.do(func() {
		for c := range b.conns {
			c.close(&refusal{condConnectionForced, "The broker was told to close its connections."})
		}
	})
}

// DetachLinks detaches all links with an AMQP error and leaves the connections
// open, as the service does with links that idled for ten minutes.
func (b *Broker) DetachLinks() {
	b.do(func() {
		for c := range b.conns {
			for _, s := range c.sessions {
				for _, l := range s.links {
					l.detach(&refusal{condDetachForced, "The broker was told to detach its links."})
				}
			}
		}
	})
}

// Silence(true) makes the broker hang: what arrives is kept and nothing is
// answered, over old and new connections. Silence(false) has it go on where it
// was. Locks and times to live run out all the while.
func (b *Broker) Silence(on bool) {
	b.do(func() {
		b.faults.silent = on
		if on {
			return
		}
		for c := range b.conns {
			c.resume()
		}
	})
}

// resume handles what a silent broker kept, the connection's end included.
func (c *conn) resume() {
	held := c.held
	c.held = nil
	for _, f := range held {
		c.receive(f)
	}
	if c.ended {
		c.end()
	}
	c.rouse()
}
