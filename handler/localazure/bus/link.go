package bus

// senderCredit is how many messages a sender may send ahead.
const senderCredit = 1000

// link is one direction of messages over a session, to or from a queue, $cbs
// or $management. It is guarded by the broker's mutex.
type link struct {
	s        *session
	name     string
	handle   uint32
	path     string // of the node at the broker's end
	detached bool   // by the broker, whom the client has yet to answer, or with its session
	credit   uint32
	count    uint32 // AMQP's delivery-count
	q        *queue // nil at $cbs

	// A link that the client sends on.
	take  func(incoming) // what handles a message; nil at the others
	parts *incoming      // the message of which some frames have come

	// A link that the client receives on.
	replyTo    string   // the address that it gives its end
	replies    [][]byte // to requests, that wait for credit
	lane       *lane    // nil: no queue, or still waiting for a session
	acceptor   *acceptor
	presettled bool // messages are gone once sent
	drained    bool // the credit was used up because the client asked for that
}

// incoming is a message from a client.
type incoming struct {
	l       *link
	id      uint32
	format  uint32
	settled bool // the sender wants no answer
	body    []byte
}

// answer tells the sender what became of its message.
func (in incoming) answer(refused *refusal) {
	if !in.settled && !in.l.detached {
		in.l.s.settled(true, in.id, refused.outcome())
	}
}

// maxBytes bounds a message from the client.
func (l *link) maxBytes() int {
	if l.q != nil {
		return l.q.cfg.MaxMessageBytes
	}
	return defaultMaxMessageBytes
}

// transfer takes one frame of a message, and the message when it is whole.
func (l *link) transfer(f frame) {
	if l.detached {
		return
	}
	if l.take == nil {
		l.detach(&refusal{condNotAllowed, "The link is one to receive on."})
		return
	}
	if l.parts == nil {
		l.parts = &incoming{l: l, id: field[uint32](f.fields, 1), format: field[uint32](f.fields, 3)}
	}
	in := l.parts
	in.settled = in.settled || field[bool](f.fields, 4)
	in.body = append(in.body, f.payload...)
	switch {
	case field[bool](f.fields, 9): // aborted
		l.parts = nil
	case len(in.body) > l.maxBytes():
		l.parts = nil
		l.detach(&refusal{condMessageSize, "The message is larger than the link allows."})
	case !field[bool](f.fields, 5): // no more
		l.parts = nil
		l.used()
		l.take(*in)
	}
}

// used counts a message from the client, and gives new credit in time.
func (l *link) used() {
	l.count++
	l.credit--
	if l.credit <= senderCredit/2 {
		l.credit = senderCredit
		l.s.sendFlow(l)
	}
}

// flow takes the receiver's credit, and says so if asked.
func (l *link) flow(f fields) {
	if l.take == nil && f.has(6) {
		l.credit = field[uint32](f, 5) + field[uint32](f, 6) - l.count
		l.pump()
		if l.drained = field[bool](f, 8); l.drained {
			l.count += l.credit
			l.credit = 0
		}
	}
	if l.drained || field[bool](f, 9) {
		l.s.sendFlow(l)
	}
	l.drained = false
}

// ready reports whether the client takes a message now.
func (l *link) ready() bool {
	return !l.detached && int32(l.credit) > 0 && len(l.s.waiting) == 0 && int32(l.s.window) > 0
}

// pump sends what there is, as far as the client takes it.
func (l *link) pump() {
	for len(l.replies) > 0 && l.ready() {
		l.deliver([]byte{0}, true, l.replies[0])
		l.replies = l.replies[1:]
	}
	if l.lane != nil {
		l.lane.dispatch()
	}
}

// deliver sends a message to the client, which must be ready.
func (l *link) deliver(tag []byte, settled bool, payload []byte) (id uint32) {
	l.count++
	l.credit--
	return l.s.deliver(l, tag, settled, payload)
}

// detach ends the link: because the client did (why is nil), or for a reason.
func (l *link) detach(why *refusal) {
	l.release()
	if !l.detached {
		l.detached = true
		l.s.send(codeDetach, []any{l.handle, true, why.value()}, nil)
	}
}

// release lets go of what the link holds. A message that it delivered from a
// queue without sessions stays locked: it can be settled on $management.
func (l *link) release() {
	if l.acceptor != nil {
		l.acceptor.withdraw()
	}
	if l.lane != nil {
		l.lane.leave(l)
		l.lane = nil
	}
	for id, d := range l.s.unsettled {
		if d.l == l {
			delete(l.s.unsettled, id)
		}
	}
}
