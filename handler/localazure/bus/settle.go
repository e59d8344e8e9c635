package bus

import "time"

// fate is what a receiver wants to become of a message.
type fate int

const (
	release    fate = iota // give it back as if never delivered
	complete               // it is done
	abandon                // give it back, the delivery counted
	deadLetter             // put it aside
	deferral               // keep it until asked for by number: not offered
)

// settlement is a fate, with the reason of a dead letter.
type settlement struct {
	fate        fate
	reason      string
	description string
}

// settlementOf reads a receiver's delivery state. Modified is an abandon even
// if it says that the delivery did not fail: azservicebus sends it so.
func settlementOf(code uint64, state fields) settlement {
	switch code {
	case codeAccepted:
		return settlement{fate: complete}
	case codeModified:
		if field[bool](state, 1) { // undeliverable here
			return settlement{fate: deferral}
		}
		return settlement{fate: abandon}
	case codeRejected:
		_, why := state.composite(0)
		info := field[map[string]any](why, 2)
		return settlement{deadLetter, text(info[propertyReason]), text(info[propertyDescription])}
	}
	return settlement{fate: release}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// confirmation returns the state that answers a settlement: the receiver's own
// without its details, or the refusal.
func confirmation(code uint64, refused *refusal) described {
	if refused != nil || code == 0 {
		return refused.outcome()
	}
	return described{code, []any{}}
}

// lock makes a message that of one receiver, for the lock's duration or that
// of its session's lock.
func (q *queue) lock(m *message) {
	m.state, m.token = locked, newToken()
	q.locked[m.token] = m
	if m.lane.holder != nil {
		m.lockedUntil = m.lane.lockedUntil
		return
	}
	m.lockedUntil = time.Now().Add(q.cfg.LockDuration)
	token := m.token
	m.wait = q.b.after(q.cfg.LockDuration, func() { q.lockLost(token) })
}

// renew prolongs a message's lock and returns its new end.
func (q *queue) renew(token uuid) (time.Time, *refusal) {
	m := q.locked[token]
	if m == nil {
		return time.Time{}, lockLost()
	}
	if m.lane.holder == nil {
		m.lockedUntil = time.Now().Add(q.cfg.LockDuration)
		m.wait.Reset(q.cfg.LockDuration)
	}
	return m.lockedUntil, nil
}

func lockLost() *refusal {
	return &refusal{condMessageLockLost, "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue."}
}

// lockLost gives a message back whose lock's time is over.
func (q *queue) lockLost(token uuid) {
	m := q.locked[token]
	if m == nil || time.Now().Before(m.lockedUntil) {
		return
	}
	q.b.note("a Service Bus message lock was lost", "queue", q.cfg.Name, "message_id", m.id)
	q.counts.LocksLost++
	q.giveBack(m, true)
	m.lane.stir()
}

// settle does with a locked message as its receiver says.
func (q *queue) settle(token uuid, s settlement) *refusal {
	q.counts.Settlements++
	m := q.locked[token]
	switch {
	case m == nil:
		return lockLost()
	case s.fate == deferral:
		return &refusal{condNotAllowed, "This broker does not defer messages."}
	case s.fate == release:
		q.counts.Released++
		q.giveBack(m, false)
	case s.fate == abandon:
		q.counts.Abandoned++
		q.giveBack(m, true)
	case s.fate == deadLetter:
		q.unlock(m)
		q.bury(m, s.reason, s.description)
	default:
		q.counts.Completed++
		q.unlock(m)
		m.finish()
	}
	m.lane.stir()
	m.lane.prune()
	return nil
}

func (q *queue) unlock(m *message) {
	delete(q.locked, m.token)
	if m.wait != nil {
		m.wait.Stop()
	}
}

// giveBack makes a locked message ready again, unless it has been delivered in
// vain too often or its time is over. The caller stirs the lane.
func (q *queue) giveBack(m *message, counted bool) {
	q.unlock(m)
	if counted {
		m.failed++
	}
	if int(m.failed) >= q.cfg.MaxDeliveryCount {
		q.bury(m, "MaxDeliveryCountExceeded", "The message could not be consumed after the maximum number of delivery attempts.")
		return
	}
	m.lane.insert(m)
	if !m.expires.IsZero() && !time.Now().Before(m.expires) {
		q.expire(m)
	}
}
