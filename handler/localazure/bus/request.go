package bus

import (
	"net/http"

	"github.com/Azure/go-amqp"
)

// request is a message to $cbs or $management that wants an answer: an
// operation by name, its arguments in a map (AMQP Management 1.0, draft 9).
type request struct {
	l          *link
	operation  string
	properties map[string]any
	body       any
	arguments  map[string]any // the body, if it is a map
	id         any
	replyTo    string
}

// readRequest accepts and decodes a request.
func readRequest(in incoming) (request, bool) {
	var a amqp.Message
	if err := a.UnmarshalBinary(in.body); err != nil {
		in.answer(&refusal{condDecode, "The request cannot be decoded: " + err.Error()})
		return request{}, false
	}
	in.answer(nil)
	r := request{l: in.l, properties: a.ApplicationProperties, body: a.Value}
	r.operation = text(r.properties["operation"])
	r.arguments, _ = a.Value.(map[string]any)
	if p := a.Properties; p != nil {
		r.id = p.MessageID
		if p.CorrelationID != nil && r.id == nil {
			r.id = p.CorrelationID
		}
		if p.ReplyTo != nil {
			r.replyTo = *p.ReplyTo
		}
	}
	return r, true
}

// reply sends the answer to the link that the client gave the reply-to address
// (azservicebus) or name (the JavaScript client). The status is an AMQP int
// under both names that clients look for.
func (r request) reply(status int, description string, body any) {
	a := amqp.Message{
		Properties: &amqp.MessageProperties{CorrelationID: r.id},
		ApplicationProperties: map[string]any{
			"status-code": int32(status), "status-description": description,
			"statusCode": int32(status), "statusDescription": description,
		},
		Value: body,
	}
	raw, err := a.MarshalBinary()
	if err != nil { // the id, which is the client's: nobody could match an answer without it
		r.l.s.c.close(&refusal{condDecode, "The request's message id cannot be repeated: " + err.Error()})
		return
	}
	if l := r.l.s.c.replyLink(r.l.path, r.replyTo); l != nil {
		l.replies = append(l.replies, raw)
		l.pump()
	}
}

// replyLink returns the client's link for answers from path.
func (c *conn) replyLink(path, replyTo string) *link {
	for _, s := range c.sessions {
		for _, l := range s.links {
			if l.take == nil && !l.detached && l.path == path && (l.replyTo == replyTo || l.name == replyTo) {
				return l
			}
		}
	}
	return nil
}

// refuse answers with a refusal in HTTP's terms, as the service does.
func (r request) refuse(why *refusal) {
	status := http.StatusBadRequest
	switch why.condition {
	case condNotFound:
		status = http.StatusNotFound
	case condMessageLockLost, condSessionLockLost:
		status = http.StatusGone
	}
	r.reply(status, why.text, nil)
}

// each returns the items of a list or an array of T.
func each[T any](v any) []T {
	if items, ok := v.([]T); ok {
		return items
	}
	list, _ := v.([]any)
	var items []T
	for _, item := range list {
		if item, ok := item.(T); ok {
			items = append(items, item)
		}
	}
	return items
}
