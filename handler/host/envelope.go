package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// MaxEnvelope bounds an envelope in bytes. A Service Bus message of the
// standard tier has 256 KiB, is encoded twice, and comes with metadata.
const MaxEnvelope = 4 << 20

// Envelope is an invocation of a function that is not plain HTTP in and out.
// The host posts it to /<function name>.
//
// Metadata is not to be trusted: a message whose body is a JSON object
// overwrites equal names in it (ScriptInvocationContextExtensions).
type Envelope struct {
	Data     map[string]json.RawMessage
	Metadata map[string]json.RawMessage
}

// DecodeEnvelope reads an envelope of at most [MaxEnvelope] bytes.
func DecodeEnvelope(r io.Reader) (Envelope, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxEnvelope+1))
	if err != nil {
		return Envelope{}, fmt.Errorf("read envelope: %w", err)
	}
	if len(data) > MaxEnvelope {
		return Envelope{}, fmt.Errorf("read envelope: more than %d bytes", MaxEnvelope)
	}
	var e Envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return Envelope{}, fmt.Errorf("decode envelope: %w", err)
	}
	return e, nil
}

// Message returns the body of the message in the trigger binding of that name.
// The host writes a string as JSON text and then again as a JSON string; some
// versions write it once, and a JSON body may stand there as it is. All three
// are read.
func (e Envelope) Message(binding string) ([]byte, error) {
	raw, ok := e.Data[binding]
	if !ok || string(raw) == "null" {
		return nil, fmt.Errorf("the envelope has no data for binding %q", binding)
	}
	return bytes.TrimSpace(unquote(unquote(raw))), nil
}

// Text returns a metadata value as text, or "".
func (e Envelope) Text(name string) string { return string(unquote(unquote(e.Metadata[name]))) }

// Int returns a metadata value as a number; false if it is none.
func (e Envelope) Int(name string) (int64, bool) {
	n, err := strconv.ParseInt(e.Text(name), 10, 64)
	return n, err == nil
}

// Time returns a metadata value as a time; false if it is none. The host
// writes some times without a zone (Azure/azure-functions-host#6997): UTC.
func (e Envelope) Time(name string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, e.Text(name)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// unquote undoes one JSON string encoding; other bytes come back as they are.
func unquote(raw []byte) []byte {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return raw
	}
	return []byte(s)
}

// WriteDone tells the host that an enveloped invocation succeeded. It is never
// an empty answer, nor any other media type: on those the host waits for the
// function's whole timeout, or fails the invocation (DefaultHttpWorkerService).
func WriteDone(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"Outputs":{},"Logs":[],"ReturnValue":null}`)
}
