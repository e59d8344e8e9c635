package bus

import (
	"crypto/rand"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/Azure/go-amqp"
)

// Annotations and properties that Service Bus gives a message. azservicebus
// takes their types on trust and panics at another one: timestamps, longs and
// strings, as they are written here.
const (
	annotationSequence    = "x-opt-sequence-number"         // long
	annotationEnqueued    = "x-opt-enqueued-time"           // timestamp
	annotationLockedUntil = "x-opt-locked-until"            // timestamp
	annotationState       = "x-opt-message-state"           // int: 0 active, 2 scheduled
	annotationDue         = "x-opt-scheduled-enqueue-time"  // timestamp, the sender's
	annotationPartition   = "x-opt-partition-key"           // string, the sender's
	annotationSource      = "x-opt-deadletter-source"       // string
	annotationFirstNumber = "x-opt-enqueue-sequence-number" // long

	propertyReason      = "DeadLetterReason"
	propertyDescription = "DeadLetterErrorDescription"
)

// state is where a message is.
type state int

const (
	gone state = iota
	ready
	locked
	scheduled
)

// message is a message in a queue.
type message struct {
	amqp    *amqp.Message // as sent; never changed once it is queued
	id      string        // empty: none
	session string
	due     time.Time     // when it becomes active; zero: at once
	ttl     time.Duration // zero: for ever

	lane     *lane
	state    state
	sequence int64
	enqueued time.Time
	expires  time.Time // zero: never
	failed   uint32    // deliveries that count and did not settle it

	token       uuid // while locked
	lockedUntil time.Time
	wait        *time.Timer // for the schedule, or the lock's end
	expiry      *time.Timer
}

// readMessage decodes a message. It keeps raw.
func readMessage(raw []byte) (*message, *refusal) {
	a := &amqp.Message{}
	if err := a.UnmarshalBinary(raw); err != nil {
		return nil, &refusal{condDecode, "The message cannot be decoded: " + err.Error()}
	}
	m := &message{amqp: a}
	if p := a.Properties; p != nil {
		if p.MessageID != nil {
			m.id = fmt.Sprint(p.MessageID)
		}
		if p.GroupID != nil {
			m.session = *p.GroupID
		}
	}
	if a.Header != nil {
		m.ttl = a.Header.TTL
	}
	m.due, _ = a.Annotations[annotationDue].(time.Time)
	m.sanitize()
	if _, err := a.MarshalBinary(); err != nil { // some of what can be decoded cannot be encoded
		return nil, &refusal{condDecode, "The message cannot be passed on: " + err.Error()}
	}
	return m, nil
}

// sanitize drops what a sender may not set, or has set to another type.
func (m *message) sanitize() {
	for _, name := range []string{annotationSequence, annotationEnqueued, annotationLockedUntil, annotationState, annotationSource, annotationFirstNumber} {
		delete(m.amqp.Annotations, any(name))
	}
	dropUnless[time.Time](m.amqp.Annotations, any(annotationDue))
	dropUnless[string](m.amqp.Annotations, any(annotationPartition))
	dropUnless[string](m.amqp.ApplicationProperties, propertyReason)
	dropUnless[string](m.amqp.ApplicationProperties, propertyDescription)
}

// dropUnless deletes a key whose value is no T.
func dropUnless[T any, K comparable](from map[K]any, key K) {
	if _, ok := from[key].(T); !ok {
		delete(from, key)
	}
}

// encode returns the message as a receiver gets it.
func (m *message) encode() []byte {
	out := *m.amqp
	header := amqp.MessageHeader{Durable: true, Priority: 4}
	if out.Header != nil {
		header = *out.Header
	}
	header.TTL, header.DeliveryCount = m.ttl, m.failed
	out.Header = &header
	if out.Properties == nil {
		out.Properties = &amqp.MessageProperties{} // azservicebus shows a delivery count only with it
	}
	out.DeliveryAnnotations = nil
	out.Annotations = maps.Clone(out.Annotations)
	if out.Annotations == nil {
		out.Annotations = amqp.Annotations{}
	}
	out.Annotations[annotationSequence] = m.sequence
	out.Annotations[annotationEnqueued] = m.enqueued
	switch m.state {
	case locked:
		out.Annotations[annotationLockedUntil] = m.lockedUntil
	case scheduled:
		out.Annotations[annotationState] = int32(2)
	}
	raw, err := out.MarshalBinary()
	if err != nil {
		panic(fmt.Sprintf("bus: encode a message that was decoded before: %v", err))
	}
	return raw
}

// dead returns the message as the dead-letter queue gets it.
func (m *message) dead(reason, description string) *message {
	a := *m.amqp
	a.ApplicationProperties = maps.Clone(a.ApplicationProperties)
	if a.ApplicationProperties == nil {
		a.ApplicationProperties = map[string]any{}
	}
	a.ApplicationProperties[propertyReason] = strings.ToValidUTF8(reason, "?")
	a.ApplicationProperties[propertyDescription] = strings.ToValidUTF8(description, "?")
	return &message{amqp: &a, id: m.id, session: m.session, sequence: m.sequence, enqueued: m.enqueued, failed: m.failed}
}

// newToken returns a lock token.
func newToken() (token uuid) {
	_, _ = rand.Read(token[:])
	token[6], token[8] = token[6]&0xf|0x40, token[8]&0x3f|0x80 // a random UUID (RFC 9562)
	return token
}

// tag returns the token as a delivery tag: a GUID as .NET lays it out, whose
// first three groups are little-endian.
func (t uuid) tag() []byte {
	return []byte{t[3], t[2], t[1], t[0], t[5], t[4], t[7], t[6], t[8], t[9], t[10], t[11], t[12], t[13], t[14], t[15]}
}
