package llm

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/openai/openai-go/v3/packages/ssestream"
)

// Bounds on what is read of a response, in bytes. A stream spends some 250
// bytes on each token of the answer. The SDK bounds one event to 32 MiB.
const (
	maxAnswer    = 64 << 20
	maxErrorBody = 1 << 20
)

// read reads the whole of res, streamed or not, and shows text on the way.
func read(res *http.Response, show func(string)) (*answer, error) {
	if media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media == "text/event-stream" {
		return readStream(res, show)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, &unreadableError{err}
	}
	return &a, nil
}

// event is what is read of a stream's event, according to its type.
type event struct {
	Type        string
	Delta       string
	OutputIndex int      `json:"output_index"`
	Response    *answer  // of the last event: the complete answer
	problem              // of an error event, whose fields stand beside the type
	Nested      *problem `json:"error"` // of an error event that came through a gateway
}

// readStream reads events up to the one that ends the answer. That one holds
// the answer whole; on Azure the items of earlier events can lack the
// encrypted reasoning.
func readStream(res *http.Response, show func(string)) (*answer, error) {
	events := ssestream.NewDecoder(res)
	message := -1 // output index of the message being shown
	for events.Next() {
		raw := events.Event()
		if !wanted(raw.Type) {
			continue
		}
		var e event
		if err := json.Unmarshal(raw.Data, &e); err != nil {
			if string(raw.Data) == "[DONE]\n" {
				break
			}
			return nil, &unreadableError{err}
		}
		if e.Nested != nil {
			return nil, e.Nested
		}
		switch e.Type {
		case "response.output_text.delta", "response.refusal.delta":
			if message >= 0 && message != e.OutputIndex {
				show(paragraph)
			}
			message = e.OutputIndex
			show(e.Delta)
		case "response.completed", "response.incomplete", "response.failed":
			if e.Response == nil {
				return nil, &problem{}
			}
			drain(res, events)
			return e.Response, nil
		case "error":
			return nil, &e.problem
		}
	}
	if err := events.Err(); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// wanted spares the decoding of the other events; some of them repeat the
// whole request or all of the text. An event without a name tells its type
// inside.
func wanted(name string) bool {
	switch name {
	case "", "error", "response.output_text.delta", "response.refusal.delta",
		"response.completed", "response.incomplete", "response.failed":
		return true
	}
	return false
}

// drainTime bounds the wait for a stream to end after its last event.
const drainTime = time.Second

// drain reads the rest, which should be nothing: only a connection whose
// response was read to its end is used again.
func drain(res *http.Response, events ssestream.Decoder) {
	timer := time.AfterFunc(drainTime, func() { _ = res.Body.Close() })
	defer timer.Stop()
	for events.Next() {
	}
}
