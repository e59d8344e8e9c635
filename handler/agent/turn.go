package agent

import (
	"strings"
	"sync"
)

// turn is the state of one Run.
type turn struct {
	*Agent
	tools  map[string]Tool
	specs  []Spec
	items  []Item // the conversation with what this turn added
	before int    // how many of items the turn found

	outcome    Outcome
	outputLeft int // bytes of tool content that the model may still be given

	mu       sync.Mutex // guards on and answer: parallel calls report through them
	on       func(Event)
	answer   strings.Builder
	streamed bool // some text of this step has been seen
}

func newTurn(a *Agent, items []Item, tools []Tool, on func(Event)) *turn {
	t := &turn{Agent: a, tools: make(map[string]Tool, len(tools)), items: items[:len(items):len(items)],
		before: len(items), outputLeft: a.Limits.OutputBytes, on: on}
	t.outcome.Steps = []Step{} // "steps": [] in JSON, never null
	for _, tool := range tools {
		spec := tool.Spec()
		t.tools[spec.Name] = tool
		t.specs = append(t.specs, spec)
	}
	return t
}

func (t *turn) result() Outcome {
	t.outcome.Items = t.items[t.before:]
	t.outcome.Text = t.answer.String()
	return t.outcome
}

func (t *turn) append(items ...Item) { t.items = append(t.items, items...) }

func (t *turn) tokens() int { return t.outcome.Usage.InputTokens + t.outcome.Usage.OutputTokens }

func (t *turn) emit(e Event) {
	if t.on == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on(e)
}

// text adds a piece to the answer. The pieces that on sees add up to
// Outcome.Text, so the blank line between two steps' texts is a piece too.
func (t *turn) text(delta string) {
	if delta == "" {
		return
	}
	if !t.streamed && t.answer.Len() > 0 {
		delta = "\n\n" + delta
	}
	t.streamed = true
	t.answer.WriteString(delta)
	t.emit(Event{Text: delta})
}
