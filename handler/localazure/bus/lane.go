package bus

import (
	"cmp"
	"slices"
	"time"
)

// lane is messages in the order in which they are given out: those of one
// session of a queue, or all of a queue without sessions. It is guarded by the
// broker's mutex.
type lane struct {
	q     *queue
	id    string     // the session's
	ready []*message // by sequence number
	links []*link    // that receive from it, the one to be served next first

	// Of a session: the one link that holds it, and until when.
	holder      *link
	lockedUntil time.Time
	timer       *time.Timer
}

// lane returns the messages that one with the session id belongs to.
func (q *queue) lane(session string) *lane {
	if !q.cfg.RequiresSession {
		return q.main
	}
	n := q.lanes[session]
	if n == nil {
		n = &lane{q: q, id: session}
		q.lanes[session] = n
	}
	return n
}

func bySequence(a, b *message) int { return cmp.Compare(a.sequence, b.sequence) }

// insert puts a message in its place: a new one last, a redelivered one before
// those that came after it.
func (n *lane) insert(m *message) {
	m.state = ready
	i, _ := slices.BinarySearchFunc(n.ready, m, bySequence)
	n.ready = slices.Insert(n.ready, i, m)
}

func (n *lane) remove(m *message) {
	m.state = gone
	n.ready = slices.DeleteFunc(n.ready, func(other *message) bool { return other == m })
}

// stir gives out what was inserted: to the receivers, or as a session to a
// receiver that waits for one.
func (n *lane) stir() {
	n.dispatch()
	if n.holder == nil {
		n.q.offer()
	}
}

// dispatch gives messages out while there are some, and receivers for them.
func (n *lane) dispatch() {
	for len(n.ready) > 0 {
		i := slices.IndexFunc(n.links, (*link).ready)
		if i < 0 {
			return
		}
		l, m := n.links[i], n.ready[0]
		n.links = append(slices.Delete(n.links, i, i+1), l)
		n.ready[0] = nil
		n.ready = n.ready[1:]
		n.give(m, l)
	}
}

// give sends a message to a receiver, locked or for good.
func (n *lane) give(m *message, l *link) {
	q := n.q
	q.counts.Delivered++
	if l.presettled {
		m.finish()
		q.counts.Completed++
		l.deliver(newToken().tag(), true, m.encode())
		n.prune()
		return
	}
	q.lock(m)
	id := l.deliver(m.token.tag(), false, m.encode())
	l.s.unsettled[id] = &delivery{l, m.token}
}

// leave takes a link off the lane. A session is free then, at once, and its
// messages go back uncounted; the messages of a queue without sessions stay
// locked (learn.microsoft.com, Service Bus message sessions and locks).
func (n *lane) leave(l *link) {
	n.links = slices.DeleteFunc(n.links, func(other *link) bool { return other == l })
	if n.holder == l {
		n.free(false)
	}
}

// hold locks the session for a link.
func (n *lane) hold(l *link) {
	n.holder = l
	n.lockedUntil = time.Now().Add(n.q.cfg.LockDuration)
	n.timer = n.q.b.after(n.q.cfg.LockDuration, n.lost)
}

// renew prolongs the session's lock, and with it those of its messages.
func (n *lane) renew() {
	n.lockedUntil = time.Now().Add(n.q.cfg.LockDuration)
	n.timer.Reset(n.q.cfg.LockDuration)
	for _, m := range n.locked() {
		m.lockedUntil = n.lockedUntil
	}
}

// lost ends the session's lock when its time is over.
func (n *lane) lost() {
	if n.holder == nil || time.Now().Before(n.lockedUntil) {
		return
	}
	l := n.holder
	n.q.b.note("a Service Bus session lock was lost", "queue", n.q.cfg.Name)
	n.links, l.lane = nil, nil
	n.free(true)
	l.detach(&refusal{condSessionLockLost, "The session lock has expired. Accept the session again."})
}

// free ends the hold on the session; counted says whether its messages were
// delivered in vain.
func (n *lane) free(counted bool) {
	n.holder = nil
	n.timer.Stop()
	for _, m := range n.locked() {
		n.q.counts.LocksLost++
		n.q.giveBack(m, counted)
	}
	n.stir()
	n.prune()
}

// locked returns the messages that are out, in their order.
func (n *lane) locked() []*message {
	var out []*message
	for _, m := range n.q.locked {
		if m.lane == n {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, bySequence)
	return out
}

// prune forgets a session that is empty and free.
func (n *lane) prune() {
	if n.holder == nil && len(n.ready) == 0 && n.q.lanes[n.id] == n && len(n.locked()) == 0 {
		delete(n.q.lanes, n.id)
	}
}

// acceptor is a receiver that waits for a session.
type acceptor struct {
	l        *link
	accepted func(*lane, *refusal) // called once
	timer    *time.Timer
}

// acceptSession locks a session, which need not have messages.
func (q *queue) acceptSession(id string, l *link) (*lane, *refusal) {
	n := q.lane(id)
	if n.holder != nil {
		return nil, &refusal{condSessionLocked, "The requested session cannot be accepted. It is locked by another receiver."}
	}
	n.hold(l)
	return n, nil
}

// acceptNext locks the free session whose first message is the oldest, when
// there is one.
func (q *queue) acceptNext(l *link, timeout time.Duration, accepted func(*lane, *refusal)) {
	a := &acceptor{l: l, accepted: accepted}
	a.timer = q.b.after(timeout, a.giveUp)
	l.acceptor = a
	q.acceptors = append(q.acceptors, a)
	q.offer()
}

// offer gives free sessions with messages to the receivers that wait.
func (q *queue) offer() {
	for len(q.acceptors) > 0 {
		var oldest *lane
		for _, n := range q.lanes {
			if n.holder == nil && len(n.ready) > 0 && (oldest == nil || bySequence(n.ready[0], oldest.ready[0]) < 0) {
				oldest = n
			}
		}
		if oldest == nil {
			return
		}
		a := q.acceptors[0]
		a.withdraw()
		oldest.hold(a.l)
		a.accepted(oldest, nil)
	}
}

// withdraw takes the receiver off the queue.
func (a *acceptor) withdraw() {
	q := a.l.q
	a.timer.Stop()
	a.l.acceptor = nil
	q.acceptors = slices.DeleteFunc(q.acceptors, func(other *acceptor) bool { return other == a })
}

// giveUp tells the receiver that no session became free in time.
func (a *acceptor) giveUp() {
	if a.l.acceptor != a {
		return
	}
	a.withdraw()
	a.accepted(nil, &refusal{condTimeout, "No session became available within the time that the receiver allows."})
}
