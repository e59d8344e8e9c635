package trigger

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// metadata is what the host tells of a message beside its body. Names that
// differ only in case are the same.
type metadata map[string]any

// envelope writes m as the host does (ScriptInvocationContextExtensions,
// GetHttpScriptInvocationContextValue): an object as it is; anything else as
// JSON, which is then written as a JSON string. A body that is not UTF-8 does
// not get as far as the handler.
func (p *Pump) envelope(m *azservicebus.ReceivedMessage, now time.Time) ([]byte, error) {
	if !utf8.Valid(m.Body) {
		return nil, errors.New("the message's body is not UTF-8")
	}
	data := string(m.Body)
	if !p.cfg.SingleEncoded {
		data = text(data)
	}
	meta := p.describe(m)
	meta["sys"] = map[string]any{"MethodName": p.cfg.Function, "UtcNow": now.UTC().Format(time.RFC3339Nano), "RandGuid": newGUID()}
	meta.leak(m.Body)
	return json.Marshal(map[string]any{"Data": map[string]any{p.cfg.Binding: data}, "Metadata": meta})
}

// describe returns the metadata that the Service Bus extension makes.
func (p *Pump) describe(m *azservicebus.ReceivedMessage) metadata {
	properties := m.ApplicationProperties
	if properties == nil {
		properties = map[string]any{}
	}
	nothing := struct{}{}
	meta := metadata{
		"MessageReceiver": nothing, "MessageSession": nothing, "MessageActions": nothing, "SessionActions": nothing, "ReceiveActions": nothing,
		"Client":    map[string]any{"FullyQualifiedNamespace": p.cfg.Namespace, "IsClosed": false, "TransportType": 0, "Identifier": p.cfg.Namespace},
		"MessageId": text(m.MessageID), "LockToken": text(guid(m.LockToken)), "DeliveryCount": text(m.DeliveryCount),
		"ApplicationProperties": properties, "UserProperties": properties,
	}
	if m.SequenceNumber != nil {
		meta["SequenceNumber"] = text(*m.SequenceNumber)
	}
	for name, value := range map[string]*string{
		"ContentType": m.ContentType, "CorrelationId": m.CorrelationID, "SessionId": m.SessionID, "PartitionKey": m.PartitionKey,
		"To": m.To, "ReplyTo": m.ReplyTo, "ReplyToSessionId": m.ReplyToSessionID, "Subject": m.Subject, "Label": m.Subject,
		"DeadLetterSource": m.DeadLetterSource,
	} {
		if value != nil {
			meta[name] = text(*value)
		}
	}
	meta.times("EnqueuedTime", m.EnqueuedTime)
	meta.times("ExpiresAt", m.ExpiresAt)
	return meta
}

// times adds a time twice: with the offset, and, under the name with Utc, with
// neither zone nor fraction (Azure/azure-functions-host#6997).
func (meta metadata) times(name string, at *time.Time) {
	if at == nil {
		return
	}
	meta[name+"Utc"] = at.UTC().Format("2006-01-02T15:04:05")
	meta[name] = at.UTC().Format("2006-01-02T15:04:05.999999999-07:00")
}

// leak copies the fields of a body that is a JSON object, over what is there:
// objects as they are, other values as text, arrays and nulls not at all
// (Utility.ApplyBindingData). A name that ends in "trigger" is left out.
func (meta metadata) leak(body []byte) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return
	}
	for name, raw := range fields {
		if value, ok := leaked(raw); ok && !strings.HasSuffix(strings.ToLower(name), "trigger") {
			meta.set(name, value)
		}
	}
}

// leaked returns what becomes of a field's value.
func leaked(raw json.RawMessage) (any, bool) {
	var s string
	switch {
	case raw[0] == '[' || string(raw) == "null":
		return nil, false
	case raw[0] == '{':
		return raw, true
	case string(raw) == "true":
		return text("True"), true // as .NET writes it
	case string(raw) == "false":
		return text("False"), true
	case json.Unmarshal(raw, &s) == nil:
		return text(s), true
	}
	return text(string(raw)), true // a number
}

// set sets a value under the name that is there already, in whatever case.
func (meta metadata) set(name string, value any) {
	for known := range meta {
		if strings.EqualFold(known, name) {
			name = known
			break
		}
	}
	meta[name] = value
}

// text returns v as JSON text, to be written as a JSON string.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings and numbers come here
	}
	return string(b)
}

// newGUID returns a random id.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return guid(b)
}

// guid writes an id in the form that .NET does.
func guid(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
