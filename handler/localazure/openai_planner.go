package localazure

import (
	"context"
	"fmt"
	"sync"
)

// Planner decides, in place of a language model, what comes next. It is safe
// for concurrent use.
type Planner interface {
	Plan(ctx context.Context, t Transcript) (Plan, error)
}

// Transcript is the input of one request, decoded.
type Transcript struct {
	Instructions string
	Tools        []string // names offered
	Entries      []Entry  // oldest first
}

// Entry is one input item. Exactly one of User, Assistant, Call, Output is set.
type Entry struct {
	User      string
	Assistant string
	Call      *ToolCall
	Output    *ToolOutput
}

// ToolCall is a call of one of the tools that were offered.
type ToolCall struct{ ID, Name, Arguments string }

// ToolOutput is what came of the call with that id.
type ToolOutput struct{ CallID, Text string }

// Plan is what the stand-in answers with: calls (run before an answer) or
// text, or both.
type Plan struct {
	Text    string
	Calls   []ToolCall // ID may be empty: the stand-in makes one
	Refused bool       // the content filter
}

// PlannerFunc is a function that is a [Planner].
type PlannerFunc func(ctx context.Context, t Transcript) (Plan, error)

// Plan calls f.
func (f PlannerFunc) Plan(ctx context.Context, t Transcript) (Plan, error) { return f(ctx, t) }

// Script returns a planner that answers with the plans in order, one a
// request, whatever is asked. Once they are used up it fails, which the
// stand-in answers with a 500.
func Script(plans ...Plan) Planner {
	var mu sync.Mutex
	return PlannerFunc(func(context.Context, Transcript) (Plan, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(plans) == 0 {
			return Plan{}, fmt.Errorf("the script has no more plans")
		}
		next := plans[0]
		plans = plans[1:]
		return next, nil
	})
}
