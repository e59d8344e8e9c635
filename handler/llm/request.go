package llm

import (
	"bytes"
	"encoding/json"

	"keyless/handler/agent"
)

// request is the body of POST /openai/v1/responses but for its input
// (openai-openapi, CreateResponse).
type request struct {
	Model             string   `json:"model"`
	Instructions      string   `json:"instructions,omitempty"`
	Tools             []tool   `json:"tools,omitempty"`
	ParallelToolCalls bool     `json:"parallel_tool_calls"`
	MaxOutputTokens   int      `json:"max_output_tokens,omitempty"`
	Store             bool     `json:"store"`
	Include           []string `json:"include,omitempty"`
	Stream            bool     `json:"stream,omitempty"`
}

type tool struct {
	Type        string          `json:"type"` // "function"
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      bool            `json:"strict"`
}

type userItem struct {
	Role    string `json:"role"` // "user"
	Content string `json:"content"`
}

type outputItem struct {
	Type   string `json:"type"` // "function_call_output"
	CallID string `json:"call_id"`
	Output string `json:"output"`
}

// encode returns the request's body. Everything that stays the same from step
// to step comes first and the input is only appended to, so that the service's
// prompt cache holds.
func (m *Model) encode(r agent.Request, stream bool) []byte {
	head := request{Model: m.Deployment, Instructions: r.Instructions, ParallelToolCalls: true,
		MaxOutputTokens: r.MaxOutputTokens, Stream: stream}
	if !m.plain.Load() {
		head.Include = []string{"reasoning.encrypted_content"}
	}
	for _, spec := range r.Tools {
		head.Tools = append(head.Tools, tool{"function", spec.Name, spec.Description, spec.Parameters, true})
	}
	var b bytes.Buffer
	b.Grow(size(r))
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	put(e, head)
	b.Truncate(b.Len() - len("}\n"))
	b.WriteString(`,"input":[`)
	for i, item := range r.Items {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case item.Model != nil:
			b.Write(item.Model) // whole, as the service sent it
		case item.Output != nil:
			put(e, outputItem{"function_call_output", item.Output.CallID, item.Output.Text})
		default:
			put(e, userItem{"user", item.User})
		}
	}
	b.WriteString("]}")
	return b.Bytes()
}

// portable returns items without the model's reasoning and the service's ids.
// On Azure both are bound to the region and resource that made them: after a
// change of either, a conversation could never go on
// (github.com/openai/codex, issue 3573).
func portable(items []agent.Item) []agent.Item {
	var kept []agent.Item
	for _, item := range items {
		if item.Model != nil {
			var fields map[string]json.RawMessage
			if json.Unmarshal(item.Model, &fields) != nil || string(fields["type"]) == `"reasoning"` {
				continue
			}
			delete(fields, "id")
			item.Model, _ = json.Marshal(fields) // of raw JSON: cannot fail
		}
		kept = append(kept, item)
	}
	return kept
}

// put encodes v. Only a tool's Parameters could fail to encode, and then the
// program's own schema is no JSON.
func put(e *json.Encoder, v any) {
	if err := e.Encode(v); err != nil {
		panic("llm: " + err.Error())
	}
}

// size guesses the length of r's body, a little high, so that the buffer
// seldom grows.
func size(r agent.Request) int {
	n := 1024 + len(r.Instructions)*9/8
	for _, spec := range r.Tools {
		n += len(spec.Description) + len(spec.Parameters) + 128
	}
	for _, item := range r.Items {
		n += (len(item.User) + len(item.Model)) + 96
		if item.Output != nil {
			n += len(item.Output.Text) * 9 / 8
		}
	}
	return n
}
