package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Limits bound one turn. All are positive. Reaching one is no error: the turn
// ends and returns what was done so far, and says which limit it was.
type Limits struct {
	Steps        int           // calls of the model
	Tokens       int           // in and out, over all calls of the model; checked between them
	AnswerTokens int           // out, in one call of the model
	CallBytes    int           // of one tool call's content; the middle of a longer one is left out
	OutputBytes  int           // of all tool calls' content together
	Calls        int           // tool calls in one step; the rest are rejected
	Parallel     int           // tool calls running at once
	Time         time.Duration // for the whole turn
}

// DefaultLimits suit an HTTP request under the platform's 230 seconds.
func DefaultLimits() Limits {
	return Limits{Steps: 16, Tokens: 400_000, AnswerTokens: 16_384, CallBytes: 16 << 10, OutputBytes: 256 << 10,
		Calls: 8, Parallel: 4, Time: 200 * time.Second}
}

// Limit names the limit that ended a turn.
type Limit string

const (
	LimitNone   Limit = ""
	LimitSteps  Limit = "steps"
	LimitTokens Limit = "tokens" // of the turn, or of one answer
	LimitOutput Limit = "output"
	LimitTime   Limit = "time"
)

// Event is something that happens during a turn. Exactly one field is set.
type Event struct {
	Text  string // the next piece of the answer
	Begun *Step  // a call is about to run
	Ended *Step  // a call ended, or was rejected
}

// Outcome is what a turn came to.
type Outcome struct {
	Text  string // the answer: all pieces of text, in order
	Steps []Step
	// Items are the turn's additions to the conversation. Each call in them
	// has its output, whatever happened.
	Items []Item
	Usage Usage
	Limit Limit // what cut the turn short, if anything did
}

// Agent runs turns. It is safe for concurrent use.
type Agent struct {
	Model        Model
	Instructions string
	Limits       Limits
	Log          *slog.Logger
}

// leastAnswerTokens is the least that the Responses API accepts as a bound
// (openai-openapi, max_output_tokens).
const leastAnswerTokens = 16

// errTimeUp is the cause of a context that Limits.Time ended.
var errTimeUp = errors.New("the turn's time is up")

// Run takes one turn: items is the conversation, ending with what the user
// said; tools serve this turn alone. It calls on with each event, one at a
// time, and never after it has returned; on may be nil.
//
// The error is the platform's (a classified one, see package fault) or the
// context's. The outcome is valid beside an error: it is what was done before.
func (a *Agent) Run(ctx context.Context, items []Item, tools []Tool, on func(Event)) (Outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.Limits.Time, errTimeUp)
	defer cancel()
	t := newTurn(a, items, tools, on)
	err := t.run(ctx)
	if err != nil && context.Cause(ctx) == errTimeUp {
		t.outcome.Limit, err = LimitTime, nil
	}
	if t.outcome.Limit != LimitNone {
		t.streamed = false
		t.text(t.outcome.Limit.sentence())
	}
	return t.result(), err
}

// sentence closes an answer that a limit cut short, for people.
func (l Limit) sentence() string {
	return "[Stopped here: this turn reached its limit of " + map[Limit]string{LimitSteps: "steps", LimitTokens: "tokens",
		LimitOutput: "output from code", LimitTime: "time"}[l] + ". What was done is kept; say \"go on\" to continue.]"
}

// run alternates between model and tools until one of the ends: an answer, a
// limit, an error.
func (t *turn) run(ctx context.Context) error {
	for range t.Limits.Steps {
		calls, err := t.ask(ctx)
		if err != nil || len(calls) == 0 {
			return err
		}
		if err := t.call(ctx, calls); err != nil {
			return err
		}
		if t.outcome.Limit = t.spent(); t.outcome.Limit != LimitNone {
			return nil
		}
	}
	t.outcome.Limit = LimitSteps
	return nil
}

// ask takes one step of the model and returns the calls it wants.
func (t *turn) ask(ctx context.Context) ([]Call, error) {
	t.streamed = false
	var text func(string) // nil: an answer that nobody watches is cheaper in one piece
	if t.on != nil {
		text = t.text
	}
	response, err := t.Model.Next(ctx, Request{
		Instructions:    t.Instructions,
		Tools:           t.specs,
		Items:           t.items,
		MaxOutputTokens: max(leastAnswerTokens, min(t.Limits.AnswerTokens, t.Limits.Tokens-t.tokens())),
	}, text)
	if err != nil {
		return nil, err
	}
	t.outcome.Usage.Add(response.Usage)
	if !t.streamed {
		t.text(response.Text)
	}
	if response.Truncated {
		// A cut answer may hold a cut call; nothing of it is run or kept.
		t.outcome.Limit = LimitTokens
		return nil, nil
	}
	t.append(response.Items...)
	return response.Calls, nil
}

// spent returns the limit that the turn has used up, if any.
func (t *turn) spent() Limit {
	switch {
	case t.tokens() >= t.Limits.Tokens:
		return LimitTokens
	case t.outputLeft <= 0:
		return LimitOutput
	}
	return LimitNone
}
