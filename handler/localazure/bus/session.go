package bus

import (
	"fmt"
	"maps"
	"slices"
)

const (
	// incomingWindow is how many transfers a client may send ahead: in effect
	// any number, since links have credit.
	incomingWindow = 1 << 30
	outgoingWindow = 1 << 30
	// frameOverhead is what a transfer needs besides the payload, bytes.
	frameOverhead = 128
)

// session is an AMQP session: a channel with links on it. (A session of a
// queue is a [lane].) It is guarded by the broker's mutex.
type session struct {
	c       *conn
	channel uint16
	links   map[uint32]*link // by handle; the broker uses the client's handles

	nextIncoming uint32 // transfer id of the next frame from the client
	nextOutgoing uint32
	nextDelivery uint32
	window       uint32     // how many transfer frames the client takes now
	waiting      []transfer // those beyond the window
	unsettled    map[uint32]*delivery
}

// transfer is one frame of an outgoing message.
type transfer struct {
	fields  []any
	payload []byte
}

// delivery is a message on its way to a receiver.
type delivery struct {
	l     *link
	token uuid
}

// receive handles one frame of the session.
func (s *session) receive(f frame) {
	switch f.code {
	case codeAttach:
		s.attach(f.fields)
	case codeFlow:
		s.flow(f.fields)
	case codeTransfer:
		s.nextIncoming++
		if l := s.link(f.fields, 0); l != nil {
			l.transfer(f)
		}
	case codeDisposition:
		s.disposition(f.fields)
	case codeDetach:
		if l := s.link(f.fields, 0); l != nil {
			l.detach(nil)
			delete(s.links, l.handle)
		}
	case codeEnd:
		s.end()
		delete(s.c.sessions, s.channel)
		s.send(codeEnd, nil, nil)
	}
}

func (s *session) send(code uint64, list []any, payload []byte) {
	s.c.send(s.channel, code, list, payload)
}

// link returns the link whose handle is field i.
func (s *session) link(f fields, i int) *link {
	l := s.links[field[uint32](f, i)]
	if l == nil {
		s.c.close(&refusal{condNotAllowed, fmt.Sprintf("handle %d is not in use", field[uint32](f, i))})
	}
	return l
}

// end lets go of what the links hold. From the first on none of them takes
// anything more, not even what another one lets go of.
func (s *session) end() {
	for _, l := range s.links {
		l.detached = true
	}
	for _, l := range s.links {
		l.release()
	}
	clear(s.links)
	clear(s.unsettled)
}

// flow takes the client's window, and its credit for a link
// (AMQP 1.0 part 2.5.6 and 2.6.7).
func (s *session) flow(f fields) {
	s.window = field[uint32](f, 0) + field[uint32](f, 1) - s.nextOutgoing
	s.flush()
	if f.has(4) {
		if l := s.link(f, 4); l != nil {
			l.flow(f)
		}
	} else if field[bool](f, 9) {
		s.sendFlow(nil)
	}
	for _, l := range s.links {
		l.pump()
	}
}

// sendFlow tells the client the window, and the credit of a link.
func (s *session) sendFlow(l *link) {
	list := []any{s.nextIncoming, uint32(incomingWindow), s.nextOutgoing, uint32(outgoingWindow)}
	if l != nil {
		list = append(list, l.handle, l.count, l.credit, nil, l.drained)
	}
	s.send(codeFlow, list, nil)
}

// deliver sends a message to the client, in as many frames as it takes, and
// returns the delivery's id.
func (s *session) deliver(l *link, tag []byte, settled bool, payload []byte) uint32 {
	id := s.nextDelivery
	s.nextDelivery++
	list := []any{l.handle, id, tag, uint32(0), settled, false}
	for room := s.c.maxFrame - frameOverhead; len(payload) > room; payload = payload[room:] {
		list[5] = true
		s.waiting = append(s.waiting, transfer{list, payload[:room]})
		list = []any{l.handle, nil, nil, nil, settled, false}
	}
	s.waiting = append(s.waiting, transfer{list, payload})
	s.flush()
	return id
}

// flush sends what the window allows.
func (s *session) flush() {
	for len(s.waiting) > 0 && int32(s.window) > 0 {
		s.send(codeTransfer, s.waiting[0].fields, s.waiting[0].payload)
		s.waiting = s.waiting[1:]
		s.window--
		s.nextOutgoing++
	}
}

// disposition settles deliveries as the receiver says, and confirms if it asks
// for that (receiver settle mode second).
func (s *session) disposition(f fields) {
	if !field[bool](f, 0) {
		return // a sender's: the broker has settled its side already
	}
	first := field[uint32](f, 1)
	last := first
	if f.has(2) {
		last = field[uint32](f, 2)
	}
	ids := []uint32{first}
	if last != first { // what the client says is in between may be far more than there is
		ids = slices.DeleteFunc(slices.Sorted(maps.Keys(s.unsettled)), func(id uint32) bool { return id-first > last-first })
	}
	code, state := f.composite(4)
	for _, id := range ids {
		d := s.unsettled[id]
		if d == nil {
			continue
		}
		delete(s.unsettled, id)
		refused := d.l.q.settle(d.token, settlementOf(code, state))
		if !field[bool](f, 3) {
			s.settled(false, id, confirmation(code, refused))
		}
	}
}

// settled tells the client that a delivery is settled; receiving says which
// side of it the broker has.
func (s *session) settled(receiving bool, id uint32, state described) {
	s.send(codeDisposition, []any{receiving, id, id, true, state}, nil)
}
