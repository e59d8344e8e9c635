package bus

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/go-amqp"
)

// manage handles a message to a queue's $management: an operation on locks,
// schedules or messages (learn.microsoft.com, "AMQP 1.0 in Azure Service Bus:
// request-response-based operations").
func (q *queue) manage(in incoming) {
	r, ok := readRequest(in)
	if !ok {
		return
	}
	operations := map[string]func(request) (any, *refusal){
		"com.microsoft:renew-lock":               q.renewLocks,
		"com.microsoft:renew-session-lock":       q.renewSession,
		"com.microsoft:update-disposition":       q.updateDisposition,
		"com.microsoft:schedule-message":         q.schedule,
		"com.microsoft:cancel-scheduled-message": q.cancelScheduled,
		"com.microsoft:peek-message":             q.peek,
	}
	operation := operations[r.operation]
	if operation == nil {
		r.reply(http.StatusNotImplemented, fmt.Sprintf("This broker does not offer %q.", r.operation), nil)
		return
	}
	body, refused := operation(r)
	switch {
	case refused != nil:
		r.refuse(refused)
	case body == nil:
		r.reply(http.StatusNoContent, "No content", map[string]any{})
	default:
		r.reply(http.StatusOK, "OK", body)
	}
}

// renewLocks prolongs the locks of messages.
func (q *queue) renewLocks(r request) (any, *refusal) {
	var ends []time.Time
	for _, token := range each[amqp.UUID](r.arguments["lock-tokens"]) {
		end, refused := q.renew(uuid(token))
		if refused != nil {
			return nil, refused
		}
		ends = append(ends, end)
	}
	return map[string]any{"expirations": ends}, nil
}

// renewSession prolongs the lock of a session that the client's connection
// holds.
func (q *queue) renewSession(r request) (any, *refusal) {
	n := q.lanes[text(r.arguments["session-id"])]
	if n == nil || n.holder == nil || n.holder.s.c != r.l.s.c {
		return nil, &refusal{condSessionLockLost, "The session lock has expired. Accept the session again."}
	}
	n.renew()
	return map[string]any{"expiration": n.lockedUntil}, nil
}

// updateDisposition settles messages by their lock tokens, for a receiver
// whose link is gone.
func (q *queue) updateDisposition(r request) (any, *refusal) {
	s := settlement{reason: text(r.arguments["deadletter-reason"]), description: text(r.arguments["deadletter-description"])}
	switch status := text(r.arguments["disposition-status"]); status {
	case "completed":
		s.fate = complete
	case "abandoned":
		s.fate = abandon
	case "suspended":
		s.fate = deadLetter
	case "defered":
		s.fate = deferral
	default:
		return nil, &refusal{condNotAllowed, fmt.Sprintf("The disposition %q is not known.", status)}
	}
	for _, token := range each[amqp.UUID](r.arguments["lock-tokens"]) {
		if refused := q.settle(uuid(token), s); refused != nil {
			return nil, refused
		}
	}
	return map[string]any{}, nil
}

// schedule stores messages that become active later.
func (q *queue) schedule(r request) (any, *refusal) {
	if q.dead == nil {
		return nil, &refusal{condNotAllowed, "Messages cannot be sent to a dead-letter queue."}
	}
	var messages []*message
	for _, entry := range each[map[string]any](r.arguments["messages"]) {
		raw, _ := entry["message"].([]byte)
		m, refused := readMessage(raw)
		if refused == nil {
			refused = q.admits(m)
		}
		if refused != nil {
			return nil, refused
		}
		messages = append(messages, m)
	}
	var numbers []int64
	for _, m := range messages {
		numbers = append(numbers, q.add(m))
	}
	return map[string]any{"sequence-numbers": numbers}, nil
}

// cancelScheduled drops scheduled messages.
func (q *queue) cancelScheduled(r request) (any, *refusal) {
	for _, number := range each[int64](r.arguments["sequence-numbers"]) {
		if refused := q.cancel(number); refused != nil {
			return nil, refused
		}
	}
	return map[string]any{}, nil
}

// peek returns messages in any state, which stay as they are.
func (q *queue) peek(r request) (any, *refusal) {
	from, _ := r.arguments["from-sequence-number"].(int64)
	count, _ := r.arguments["message-count"].(int32)
	session, inSession := r.arguments["session-id"].(string)
	var found []any
	for _, m := range q.all() {
		if m.sequence < from || inSession && m.session != session {
			continue
		}
		if len(found) >= int(count) {
			break
		}
		found = append(found, map[string]any{"message": m.encode()})
	}
	if found == nil {
		return nil, nil
	}
	return map[string]any{"messages": found}, nil
}

// all returns the queue's messages by sequence number.
func (q *queue) all() []*message {
	all := slices.Clone(q.main.ready)
	for _, n := range q.lanes {
		all = append(all, n.ready...)
	}
	for _, m := range q.locked {
		all = append(all, m)
	}
	for _, m := range q.scheduled {
		all = append(all, m)
	}
	slices.SortFunc(all, bySequence)
	return all
}
