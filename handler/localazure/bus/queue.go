package bus

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// What a queue has unless it says otherwise, as Service Bus has it.
const (
	defaultLockDuration    = time.Minute
	defaultMaxDeliveries   = 10
	defaultMaxMessageBytes = 256 << 10
)

// queue is a queue, or the dead-letter queue of one. It is guarded by the
// broker's mutex.
type queue struct {
	b    *Broker
	cfg  Queue
	dead *queue // nil: this is one

	main      *lane            // all messages, in a queue without sessions
	lanes     map[string]*lane // by session id
	acceptors []*acceptor      // receivers that wait for a session, in their order
	locked    map[uuid]*message
	scheduled map[int64]*message // by sequence number
	seen      memory

	sequence int64 // of the last message
	counts   Counts
}

func newQueue(b *Broker, cfg Queue) *queue {
	cfg.LockDuration = orDefault(cfg.LockDuration, defaultLockDuration)
	cfg.MaxDeliveryCount = orDefault(cfg.MaxDeliveryCount, defaultMaxDeliveries)
	cfg.MaxMessageBytes = orDefault(cfg.MaxMessageBytes, defaultMaxMessageBytes)
	q := bareQueue(b, cfg)
	q.seen.window = cfg.DuplicateDetection
	q.dead = bareQueue(b, Queue{Name: cfg.Name + deadLetterSuffix, LockDuration: cfg.LockDuration,
		MaxDeliveryCount: math.MaxInt, MaxMessageBytes: cfg.MaxMessageBytes})
	return q
}

func bareQueue(b *Broker, cfg Queue) *queue {
	q := &queue{b: b, cfg: cfg, lanes: map[string]*lane{}, locked: map[uuid]*message{}, scheduled: map[int64]*message{}}
	q.main = &lane{q: q}
	return q
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (q *queue) count() Counts {
	counts := q.counts
	counts.Locked, counts.Scheduled, counts.Active = len(q.locked), len(q.scheduled), len(q.main.ready)
	for _, n := range q.lanes {
		counts.Active += len(n.ready)
		if n.holder != nil {
			counts.Sessions++
		}
	}
	if q.dead != nil {
		counts.DeadLettered = len(q.dead.main.ready) + len(q.dead.locked)
	}
	return counts
}

// add takes a message from a sender and returns its sequence number. A
// duplicate gets one too, and is dropped.
func (q *queue) add(m *message) int64 {
	q.counts.Accepted++
	m.sequence = q.number()
	now := time.Now()
	if q.seen.has(m.id, now) {
		q.counts.Duplicates++
		return m.sequence
	}
	if q.cfg.DefaultTimeToLive > 0 && (m.ttl == 0 || m.ttl > q.cfg.DefaultTimeToLive) {
		m.ttl = q.cfg.DefaultTimeToLive
	}
	m.enqueued = now
	if m.due.After(now) {
		m.state = scheduled
		q.scheduled[m.sequence] = m
		m.wait = q.b.after(m.due.Sub(now), q.activate)
		return m.sequence
	}
	q.enqueue(m)
	return m.sequence
}

func (q *queue) number() int64 {
	q.sequence++
	return q.sequence
}

// activate makes the scheduled messages that are due active, in the order in
// which they were sent and, with new sequence numbers, behind what is there.
func (q *queue) activate() {
	for _, number := range slices.Sorted(maps.Keys(q.scheduled)) {
		if m := q.scheduled[number]; !m.due.After(time.Now()) {
			delete(q.scheduled, number)
			m.sequence, m.enqueued = q.number(), time.Now()
			q.enqueue(m)
		}
	}
}

// cancel drops a scheduled message.
func (q *queue) cancel(sequence int64) *refusal {
	m := q.scheduled[sequence]
	if m == nil {
		return &refusal{condNotFound, fmt.Sprintf("There is no scheduled message %d.", sequence)}
	}
	m.state = gone
	m.wait.Stop()
	delete(q.scheduled, sequence)
	return nil
}

// enqueue makes a new message ready for receivers, for its time to live.
func (q *queue) enqueue(m *message) {
	if m.ttl > 0 {
		m.expires = m.enqueued.Add(m.ttl)
		m.expiry = q.b.after(m.ttl, func() { q.expire(m) })
	}
	m.lane = q.lane(m.session)
	m.lane.insert(m)
	m.lane.stir()
}

// expire ends a ready message. A locked one may still be settled; it expires
// when it is given back.
func (q *queue) expire(m *message) {
	if m.state != ready {
		return
	}
	m.lane.remove(m)
	q.counts.Expired++
	if q.cfg.DeadLetterOnExpiration {
		q.bury(m, "TTLExpiredException", "The message expired and was dead lettered.")
	}
	m.lane.prune()
}

// bury puts a message into the dead-letter queue.
func (q *queue) bury(m *message, reason, description string) {
	q.b.note("a message was dead-lettered", "queue", q.cfg.Name, "message_id", m.id, "reason", reason)
	m.finish()
	if q.dead == nil {
		return
	}
	q.dead.enqueue(m.dead(reason, description))
}

// finish ends a message's life in its queue.
func (m *message) finish() {
	m.state = gone
	if m.expiry != nil {
		m.expiry.Stop()
	}
}

// memory is duplicate detection: the ids of a window of time.
type memory struct {
	window time.Duration // 0: off
	ids    map[string]bool
	order  []remembered
}

type remembered struct {
	id    string
	until time.Time
}

// has reports whether id was seen within the window, and remembers it if not.
func (d *memory) has(id string, now time.Time) bool {
	if d.window <= 0 || id == "" {
		return false
	}
	for len(d.order) > 0 && !now.Before(d.order[0].until) {
		delete(d.ids, d.order[0].id)
		d.order = d.order[1:]
	}
	if d.ids[id] {
		return true
	}
	if d.ids == nil {
		d.ids = map[string]bool{}
	}
	d.ids[id] = true
	d.order = append(d.order, remembered{id, now.Add(d.window)})
	return false
}
