// Package bus is an in-process AMQP 1.0 broker with the behaviour of Azure
// Service Bus queues that this program and its tests rely on, so that the real
// azservicebus client, the Functions host or any other Service Bus client can
// talk to it with no Azure and no Docker.
//
// It serves tokens on $cbs, queues with sessions, peek-lock with expiry and
// renewal, delivery counts, dead-letter queues, duplicate detection, scheduled
// messages, time to live, batches and $management. Topics, deferral,
// transactions, partitions and the HTTPS administration API are left out.
// Everything is in memory and ends with the process.
//
// It reads the time from package time and waits on nothing but timers and
// connections, so that over [Broker.Pipe] it runs in a testing/synctest bubble,
// where lock expiry and hours of idling take milliseconds.
//
// The flow: a connection's reader decodes a frame and hands it, under the one
// mutex of the broker, to the connection, its session and its link; a link puts
// a message into a queue or takes one out of it; what is to be sent goes into
// the connection's buffer, which a writer empties. Nothing reads or writes a
// network under the mutex.
package bus

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says how a [Broker] behaves. The zero value is usable.
type Config struct {
	// CheckToken says whether a JWT put on $cbs is good for the audience
	// (amqp[s]://namespace/entity); nil: any. It is called without the
	// broker's mutex. SAS tokens (the emulator's connection string) are not
	// shown to it: their signature is not checked, their expiry is.
	CheckToken func(token string) error
	// Log gets connections, refusals, lost locks and dead letters, without
	// tokens and bodies; nil: none.
	Log *slog.Logger
}

// Queue is what a queue is made with.
type Queue struct {
	// Name as clients give it; case does not matter.
	Name string
	// RequiresSession makes the queue take only messages with a session id
	// and give them out only to receivers that hold the session.
	RequiresSession bool
	// LockDuration is how long a message, or a session, stays locked without
	// renewal. Zero: 60 s, as Service Bus has it.
	LockDuration time.Duration
	// MaxDeliveryCount is how often a message is delivered before it is
	// dead-lettered. Zero: 10, as Service Bus has it.
	MaxDeliveryCount int
	// DuplicateDetection is how long the id of a message is remembered, so
	// that a second one with that id is accepted and dropped. Zero: off.
	DuplicateDetection time.Duration
	// DefaultTimeToLive bounds the time to live of every message. Zero: none.
	DefaultTimeToLive time.Duration
	// DeadLetterOnExpiration moves an expired message to the dead-letter
	// queue in place of dropping it.
	DeadLetterOnExpiration bool
	// MaxMessageBytes bounds an encoded message, or batch. Zero: 256 KiB, as
	// in the Standard tier.
	MaxMessageBytes int
}

// Counts is what a queue holds, and what happened in it since it was made.
type Counts struct {
	Active       int // ready to be received (in a queue with sessions: also those of locked sessions)
	Locked       int // delivered and not settled
	Scheduled    int // to become active later
	DeadLettered int // in the dead-letter queue, locked or not
	Sessions     int // sessions that a receiver holds

	Accepted    int64 // messages taken from senders, scheduled ones and duplicates included
	Duplicates  int64 // of these, dropped by duplicate detection
	Delivered   int64 // deliveries to receivers, repeated ones included
	Completed   int64
	Abandoned   int64 // given back with the delivery counted
	Released    int64 // given back by a receiver as if never delivered
	LocksLost   int64 // message locks that ran out, or went with their session's lock or link
	Expired     int64 // messages whose time to live ran out
	Settlements int64 // settlements asked for, refused ones included
}

// Broker serves any number of queues and connections. It is safe for
// concurrent use.
type Broker struct {
	cfg     Config
	running sync.WaitGroup // readers and writers

	mu        sync.Mutex
	queues    map[string]*queue // by name, in lower case
	conns     map[*conn]bool
	listeners map[net.Listener]bool
	closed    bool
	notes     []note // to be logged once mu is free
	faults    faults
}

// note is a log record that waits for the mutex to be free.
type note struct {
	text  string
	attrs []any
}

// New returns a broker with no queues.
func New(cfg Config) *Broker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Broker{cfg: cfg, queues: map[string]*queue{}, conns: map[*conn]bool{}, listeners: map[net.Listener]bool{}}
}

// AddQueue makes a queue, and its dead-letter queue name/$DeadLetterQueue.
// It panics if there is a queue of that name.
func (b *Broker) AddQueue(cfg Queue) {
	q := newQueue(b, cfg)
	b.do(func() {
		key := strings.ToLower(cfg.Name)
		if b.queues[key] != nil {
			panic("bus: the queue " + cfg.Name + " is there already")
		}
		b.queues[key] = q
	})
}

// Serve accepts connections from l, a plain or a TLS listener, and serves
// them. It blocks until [Broker.Close], upon which it returns nil, or until l
// fails.
func (b *Broker) Serve(l net.Listener) error {
	closed := false
	b.do(func() {
		closed = b.closed
		b.listeners[l] = true
	})
	if closed {
		return l.Close()
	}
	for {
		nc, err := l.Accept()
		if err != nil {
			b.do(func() { closed = b.closed })
			if closed {
				return nil
			}
			return fmt.Errorf("accept a Service Bus client: %w", err)
		}
		b.serve(nc)
	}
}

// Pipe returns the client's end of a new in-memory connection, which the
// broker serves. It is what azservicebus.ClientOptions.NewWebSocketConn may
// return.
func (b *Broker) Pipe() net.Conn {
	ours, theirs := net.Pipe()
	b.serve(ours)
	return theirs
}

// Close cuts all connections, stops all listeners and waits until nothing of
// the broker runs. It returns nil, always.
func (b *Broker) Close() error {
	var listeners []net.Listener
	b.do(func() {
		b.closed = true
		listeners = slices.Collect(maps.Keys(b.listeners))
		for c := range b.conns {
			c.cut()
		}
	})
	for _, l := range listeners {
		_ = l.Close()
	}
	b.running.Wait()
	return nil
}

// Counts returns the counts of a queue; zero if there is no such queue.
func (b *Broker) Counts(queue string) (counts Counts) {
	b.do(func() {
		if q := b.queues[strings.ToLower(queue)]; q != nil {
			counts = q.count()
		}
	})
	return counts
}

// do runs f under the mutex, and logs what f noted once the mutex is free.
func (b *Broker) do(f func()) {
	b.mu.Lock()
	notes := func() []note {
		defer b.mu.Unlock()
		f()
		notes := b.notes
		b.notes = nil
		return notes
	}()
	for _, n := range notes {
		b.cfg.Log.Info(n.text, n.attrs...)
	}
}

// note logs when the mutex is free again.
func (b *Broker) note(text string, attrs ...any) { b.notes = append(b.notes, note{text, attrs}) }

// after runs f under the mutex in d. It may still run after its timer was
// stopped: f must see for itself whether it is wanted.
func (b *Broker) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { b.do(f) })
}

// Names of what is not a queue.
const (
	cbsName          = "$cbs"
	managementSuffix = "/$management"
	deadLetterSuffix = "/$deadletterqueue"
)

// entityPath returns the path of an address or an audience, which may be a
// whole URL, in the form that claims and queues are kept under.
func entityPath(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		_, address, _ = strings.Cut(rest, "/")
	}
	return strings.ToLower(strings.Trim(address, "/"))
}

// queue returns the queue that path means, and whether it means the queue's
// management node.
func (b *Broker) queue(path string) (q *queue, management bool) {
	path, management = strings.CutSuffix(path, managementSuffix)
	path, dead := strings.CutSuffix(path, deadLetterSuffix)
	if q = b.queues[path]; q != nil && dead {
		q = q.dead
	}
	return q, management
}
