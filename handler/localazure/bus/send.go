package bus

import "github.com/Azure/go-amqp"

// batchFormat marks a transfer whose data sections are whole messages.
const batchFormat = 0x80013700

// take stores what a sender sends, a message or a batch, whole or not at all.
func (q *queue) take(in incoming) {
	messages, refused := unpack(in)
	for i := 0; i < len(messages) && refused == nil; i++ {
		refused = q.admits(messages[i])
	}
	if refused != nil {
		in.answer(refused)
		return
	}
	var fault SendFault
	if hook := q.b.faults.onSend; hook != nil {
		fault = hook(q.cfg.Name, messages[0].id)
	}
	if fault.Condition == "" && fault.Outcome != Lose {
		for _, m := range messages {
			q.add(m)
		}
	}
	if fault.Delay > 0 {
		q.b.after(fault.Delay, func() { in.finish(fault) })
		return
	}
	in.finish(fault)
}

// finish answers a send, as the fault has it.
func (in incoming) finish(fault SendFault) {
	switch {
	case fault.Condition != "":
		in.answer(&refusal{fault.Condition, "The broker was told to fail."})
	case fault.Outcome == Store:
		in.answer(nil)
	case fault.Outcome == StoreAndCut:
		in.l.s.c.cut()
	}
}

// unpack returns the messages of a transfer, one at least.
func unpack(in incoming) ([]*message, *refusal) {
	parts := [][]byte{in.body}
	if in.format == batchFormat {
		var batch amqp.Message
		if err := batch.UnmarshalBinary(in.body); err != nil || len(batch.Data) == 0 {
			return nil, &refusal{condDecode, "The batch cannot be decoded."}
		}
		parts = batch.Data
	}
	messages := make([]*message, len(parts))
	for i, part := range parts {
		var refused *refusal
		if messages[i], refused = readMessage(part); refused != nil {
			return nil, refused
		}
	}
	return messages, nil
}

// admits says why a message does not fit the queue.
func (q *queue) admits(m *message) *refusal {
	if q.cfg.RequiresSession && m.session == "" {
		return &refusal{condNotAllowed, "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session support enabled can only receive messages that have the SessionId set to a valid value."}
	}
	return nil
}
