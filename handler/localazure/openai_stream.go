package localazure

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"
)

// openAIStream plays an answer as server-sent events, numbered from 0 and
// flushed one by one, in the service's order (openai-openapi,
// ResponseStreamEvent).
type openAIStream struct {
	w     http.ResponseWriter
	r     *http.Request
	delay time.Duration // before each piece of text or arguments
	next  int           // sequence number
	gone  bool          // the caller is, and nothing more is sent
}

// play sends the whole answer.
func (s *openAIStream) play(a *openAIAnswer) {
	s.send("created", map[string]any{"response": a.opening()})
	s.send("in_progress", map[string]any{"response": a.opening()})
	for i := range a.items {
		itemStream{s, i, &a.items[i]}.play()
	}
	s.send(a.status(), map[string]any{"response": a.object()})
}

// send writes the event response.<kind>.
func (s *openAIStream) send(kind string, fields map[string]any) {
	if s.gone {
		return
	}
	fields["type"], fields["sequence_number"] = "response."+kind, s.next
	s.next++
	data, _ := json.Marshal(fields)
	_, _ = fmt.Fprintf(s.w, "event: response.%s\ndata: %s\n\n", kind, data)
	_ = http.NewResponseController(s.w).Flush()
}

// itemStream plays one output item.
type itemStream struct {
	*openAIStream
	index int
	item  *answerItem
}

// play sends the item. Its encrypted reasoning is held back until the complete
// answer, as Azure does at times; a client that looks for it here misses it.
func (s itemStream) play() {
	s.send("output_item.added", map[string]any{"item": s.item.opening()})
	switch s.item.kind {
	case "message":
		s.message(s.item.text)
	case "function_call":
		s.arguments(s.item.call.Arguments)
	}
	finished := *s.item
	finished.encrypted = ""
	s.send("output_item.done", map[string]any{"item": finished.object("completed")})
}

func (s itemStream) message(text string) {
	s.send("content_part.added", map[string]any{"content_index": 0, "part": part("")})
	for word := range s.words(text) {
		s.send("output_text.delta", map[string]any{"content_index": 0, "delta": word, "logprobs": []any{}})
	}
	s.send("output_text.done", map[string]any{"content_index": 0, "text": text, "logprobs": []any{}})
	s.send("content_part.done", map[string]any{"content_index": 0, "part": part(text)})
}

func (s itemStream) arguments(text string) {
	for word := range s.words(text) {
		s.send("function_call_arguments.delta", map[string]any{"delta": word})
	}
	s.send("function_call_arguments.done", map[string]any{"arguments": text, "name": s.item.call.Name})
}

// words yields text word by word, each after the delay, until the caller goes.
func (s itemStream) words(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for word := range strings.SplitAfterSeq(text, " ") {
			s.gone = s.gone || !wait(s.r, s.delay) || s.r.Context().Err() != nil
			if s.gone || word != "" && !yield(word) {
				return
			}
		}
	}
}

// send adds to an event where in the answer it belongs.
func (s itemStream) send(kind string, fields map[string]any) {
	fields["output_index"] = s.index
	if _, whole := fields["item"]; !whole {
		fields["item_id"] = s.item.id
	}
	s.openAIStream.send(kind, fields)
}
