package bus

import (
	"fmt"
	"strings"
	"time"
)

// sessionFilter is what a receiver asks for a session with: an id, or null for
// the next free one.
const sessionFilter = "com.microsoft:session-filter"

// defaultAcceptTimeout is how long a receiver waits for a free session unless
// it says otherwise, as Service Bus has it.
const defaultAcceptTimeout = time.Minute

// attach opens the link that the client asks for, or says why not.
func (s *session) attach(f fields) {
	receiving := field[bool](f, 2)
	_, source := f.composite(5)
	_, target := f.composite(6)
	near, far := target, source
	if receiving {
		near, far = source, target
	}
	l := &link{s: s, name: field[string](f, 0), handle: field[uint32](f, 1),
		path: entityPath(field[string](near, 0)), replyTo: field[string](far, 0)}
	if s.links[l.handle] != nil {
		s.c.close(&refusal{condNotAllowed, fmt.Sprintf("handle %d is in use", l.handle)})
		return
	}
	s.links[l.handle] = l
	if refused := l.connect(receiving); refused != nil {
		l.refuse(f, refused)
		return
	}
	switch {
	case !receiving:
		l.confirm(f, nil, nil)
		l.credit = senderCredit
		s.sendFlow(l)
	case l.q == nil || strings.HasSuffix(l.path, managementSuffix):
		l.confirm(f, nil, nil)
	default:
		l.presettled = field[uint8](f, 3) == 1
		l.receive(f, source)
	}
}

// connect finds what is at the broker's end of the link.
func (l *link) connect(receiving bool) *refusal {
	b := l.s.c.b
	if l.path == cbsName {
		if !receiving {
			l.take = b.putToken
		}
		return nil
	}
	q, management := b.queue(l.path)
	if q == nil {
		return &refusal{condNotFound, fmt.Sprintf("The messaging entity %q could not be found.", l.path)}
	}
	if refused := l.s.c.authorize(l.path); refused != nil {
		return refused
	}
	l.q = q
	switch {
	case receiving:
	case management:
		l.take = q.manage
	case q.dead == nil:
		return &refusal{condNotAllowed, "Messages cannot be sent to a dead-letter queue."}
	default:
		l.take = q.take
	}
	return nil
}

// receive joins a receiver to its queue, or to a session of it: at once, or
// when one becomes free.
func (l *link) receive(f, source fields) {
	asked, isFiltered := field[map[string]any](source, 7)[sessionFilter]
	d, isDescribed := asked.(described)
	if isDescribed {
		asked = d.value
	}
	if isFiltered != l.q.cfg.RequiresSession {
		l.refuse(f, &refusal{condNotAllowed, "A receiver must ask for a session if the queue requires sessions, and only then."})
		return
	}
	if !isFiltered {
		l.confirm(f, nil, nil)
		l.join(l.q.main)
		return
	}
	accepted := func(n *lane, refused *refusal) {
		if refused != nil {
			l.refuse(f, refused)
			return
		}
		var filter any = n.id // in the client's own form: azservicebus wants it described, the JavaScript client bare
		if isDescribed {
			filter = described{d.code, n.id}
		}
		l.confirm(f, map[string]any{sessionFilter: filter}, map[string]any{"com.microsoft:locked-until-utc": dotNetTicks(n.lockedUntil)})
		l.join(n)
	}
	if id, ok := asked.(string); ok {
		accepted(l.q.acceptSession(id, l))
		return
	}
	timeout := defaultAcceptTimeout
	if ms := field[uint32](fields{field[map[string]any](f, 13)["com.microsoft:timeout"]}, 0); ms > 0 {
		timeout = time.Duration(ms) * time.Millisecond
	}
	l.q.acceptNext(l, timeout, accepted)
}

// join has the link receive from n.
func (l *link) join(n *lane) {
	l.lane = n
	n.links = append(n.links, l)
	l.pump()
}

// confirm answers an attach. The settle modes must be the client's own, or
// go-amqp drops the link.
func (l *link) confirm(f fields, filter, properties map[string]any) {
	answer := []any{l.name, l.handle, !field[bool](f, 2), settleMode(f, 3), settleMode(f, 4),
		terminus(f, 5, filter), terminus(f, 6, nil), nil, nil, nil, nil, nil, nil, nil}
	if field[bool](f, 2) {
		answer[9] = uint32(0) // the sender's first delivery-count
	} else {
		answer[10] = uint64(l.maxBytes())
	}
	if properties != nil {
		answer[13] = properties
	}
	l.s.send(codeAttach, answer, nil)
}

// refuse answers an attach without a terminus, and detaches: the way to refuse
// (AMQP 1.0 part 2.6.3).
func (l *link) refuse(f fields, why *refusal) {
	l.s.c.b.note("a Service Bus link was refused", "path", l.path, "condition", why.condition)
	answer := []any{l.name, l.handle, !field[bool](f, 2), settleMode(f, 3), settleMode(f, 4), nil, nil, nil, nil, nil}
	if field[bool](f, 2) {
		answer[9] = uint32(0)
	}
	l.s.send(codeAttach, answer, nil)
	l.detach(why)
}

func settleMode(f fields, i int) any {
	if mode, ok := field[any](f, i).(uint8); ok {
		return mode
	}
	return nil
}

// terminus repeats the address of the client's source or target, which is
// field i, with the filter that is in place.
func terminus(f fields, i int, filter map[string]any) any {
	code, list := f.composite(i)
	if code == 0 {
		code = uint64(codeSource + i - 5)
	}
	answer := []any{nil, nil, nil, nil, nil, nil, nil, nil}
	if address, ok := field[any](list, 0).(string); ok {
		answer[0] = address
	}
	if filter == nil {
		return described{code, answer[:1]}
	}
	answer[7] = filter
	return described{code, answer}
}

// dotNetTicks returns t as .NET counts: 100 ns since the year 1.
func dotNetTicks(t time.Time) int64 { return 621355968000000000 + t.UnixMilli()*10000 }
