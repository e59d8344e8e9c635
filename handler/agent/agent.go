// Package agent is the loop between a model and its tools.
//
// [Agent.Run] asks the [Model] for its next step, runs the tools that it calls
// for, hands back what came of them, and repeats until the model answers or a
// limit is reached. It does no I/O of its own and keeps nothing: package
// conversation loads the items before a turn and saves them after it.
//
// A tool that fails is content for the model, which may do better at the next
// step; only the platform's failure (the model or a tool's service cannot be
// reached, refuses us, or is throttled) is a Go error.
package agent

import (
	"context"
	"encoding/json"
)

// Model decides the next step of a turn. Package llm holds the real one.
// Implementations are safe for concurrent use.
type Model interface {
	// Next returns the model's next step. It hands pieces of the answer's
	// text to text as they arrive, in order and from one goroutine. A nil
	// text says that nobody waits for them, which makes the step cheaper.
	// It obeys ctx. Its errors are classified (package fault).
	Next(ctx context.Context, r Request, text func(delta string)) (Response, error)
}

// Request is what a model is given for one step.
type Request struct {
	Instructions    string // how to behave; the same at each step
	Tools           []Spec
	Items           []Item // the conversation so far, oldest first
	MaxOutputTokens int    // most tokens in the answer, reasoning included; positive
}

// Response is one step of a model: an answer, or calls for tools, or both.
type Response struct {
	// Items are to be appended to the conversation and sent back as they are.
	Items []Item
	Text  string // the text of the answer; may be empty beside Calls
	Calls []Call // what the model wants run, in its order
	Usage Usage
	// Truncated tells that MaxOutputTokens cut the answer short.
	Truncated bool
}

// Item is one entry of a conversation as the model sees it. Exactly one field
// is set: which one tells who wrote it.
type Item struct {
	User   string          `json:"user,omitempty"`   // what the user said
	Output *Output         `json:"output,omitempty"` // what came of a call
	Model  json.RawMessage `json:"model,omitempty"`  // an answer, a call or reasoning, in the provider's own form, opaque here
}

// Output is what came of a tool call, for the model to read.
type Output struct {
	CallID string `json:"call_id"`
	Text   string `json:"text"`
}

// Call is the model's wish to run a tool. Nothing in it has been checked.
type Call struct {
	ID        string
	Tool      string
	Arguments string // meant to be a JSON object; may be anything
}

// Usage counts tokens. Reasoning tokens are among OutputTokens.
type Usage struct {
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
	CachedTokens int `json:"cached_tokens,omitempty"` // those of InputTokens that the provider had cached
}

// Add adds u2 to u.
func (u *Usage) Add(u2 Usage) {
	u.InputTokens += u2.InputTokens
	u.OutputTokens += u2.OutputTokens
	u.CachedTokens += u2.CachedTokens
}

// Spec describes a tool to the model.
type Spec struct {
	Name        string
	Description string
	// Parameters is the JSON schema of the arguments, an object with all
	// properties required and none additional ("strict" in the provider's terms).
	Parameters json.RawMessage
	// Parallel tells that calls of one step may run side by side. Calls of a
	// tool without it run one after the other, in the model's order.
	Parallel bool
}

// Tool is something that a model may call. A value serves one turn of one
// conversation; Call may run concurrently only if Spec says Parallel.
type Tool interface {
	Spec() Spec
	// Call runs the tool. arguments is the model's text, unchecked; where it
	// cannot be used the error is an [ArgumentError]. Once it knows what it
	// is about to do, and before doing it, it calls begin at most once.
	// Any other error is the platform's and ends the turn.
	Call(ctx context.Context, arguments string, begin func(Step)) (Result, error)
}

// Result is what came of a call that ran, be it well or badly.
type Result struct {
	Step    Step   // for people
	Content string // for the model
}

// ArgumentError tells the model what is wrong with the arguments it sent.
type ArgumentError struct{ Problem string }

func (e *ArgumentError) Error() string { return e.Problem }

// Status tells how a step ended.
type Status string

const (
	Running   Status = "running"   // has begun
	Succeeded Status = "succeeded" // ran to its end
	Failed    Status = "failed"    // ran and failed: an exception, a time limit, a crash
	Canceled  Status = "canceled"  // was stopped before its end: the caller left, or the turn's time was up
	Rejected  Status = "rejected"  // was not run: no such tool, or unusable arguments
)

// Step is one tool call as people see it.
type Step struct {
	Number     int    `json:"number"` // counts from 1 within the turn
	Tool       string `json:"tool"`
	Code       string `json:"code,omitempty"`
	Status     Status `json:"status"`
	Stdout     string `json:"stdout,omitempty"`
	Stderr     string `json:"stderr,omitempty"`
	Result     string `json:"result,omitempty"` // the value of the last expression, as Python's repr shows it
	Truncated  bool   `json:"truncated,omitempty"`
	DurationMS int64  `json:"duration_ms"`
}
