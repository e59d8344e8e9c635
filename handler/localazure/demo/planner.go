// Package demo is the model of a local run that has no Azure OpenAI: a small
// planner without randomness and without I/O. The Azure OpenAI stand-in
// (package localazure) asks it for each step, so that everything around the
// model, from the agent's loop to the interpreter, can be tried for real.
//
// It reads the last user message and what has been run since. A table of
// skills turns the message into Python; the tool's real output becomes the
// answer; after a traceback it corrects itself once. It computes nothing
// itself, and each answer says that it is the demo model.
package demo

import (
	"context"
	"encoding/json"
	"strings"

	"keyless/handler/localazure"
)

// toolName is the one tool that the planner knows. Its arguments are
// {"code": "..."}.
const toolName = "run_python"

// Planner is the demo model. It keeps nothing between calls and is safe for
// concurrent use.
type Planner struct{}

var _ localazure.Planner = Planner{}

// Plan returns the next step: a run of Python, or the answer. The same
// transcript gives the same plan. Its only error is that of ctx.
func (Planner) Plan(ctx context.Context, t localazure.Transcript) (localazure.Plan, error) {
	if err := ctx.Err(); err != nil {
		return localazure.Plan{}, err
	}
	turn := readTurn(t)
	// The choice follows from what came before the turn, so that the step
	// after a run finds again the script that it answers for.
	s := choose(turn.message, turn.memory)
	switch {
	case s.reply != "":
		return say(s.reply), nil
	case len(turn.tries) == 0 && !turn.offered:
		return say(noTool), nil
	case len(turn.tries) == 0:
		return run(s.code()), nil
	}
	if len(turn.tries) == 1 && turn.offered {
		if code, ok := correct(turn.tries[0]); ok {
			return run(code), nil
		}
	}
	return say(answer(s, turn.tries)), nil
}

// say is a plan that ends the turn.
func say(text string) localazure.Plan {
	return localazure.Plan{Text: strings.ToValidUTF8(text, "\uFFFD") + "\n\n" + signature}
}

// run is a plan that calls the tool; the stand-in gives the call its id.
func run(code string) localazure.Plan {
	// A map of strings always marshals; bytes that are not UTF-8 become U+FFFD.
	arguments, _ := json.Marshal(map[string]string{"code": code})
	return localazure.Plan{Calls: []localazure.ToolCall{{Name: toolName, Arguments: string(arguments)}}}
}
