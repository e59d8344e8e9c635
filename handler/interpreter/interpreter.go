// Package interpreter is the agent's Python: the tool run_python over a
// session of the session pool.
//
// It stands between package agent, which knows tools, and package sessions,
// which knows the pool's REST API: it tells the model what the tool is, and
// says what came of a run, once for the model to read and once for people.
package interpreter

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"keyless/handler/agent"
	"keyless/handler/sessions"
)

// maxStream is how much of stdout and of stderr people are shown, in
// characters. The model may be shown less (agent.Limits.CallBytes).
const maxStream = 32 << 10

// runTime bounds one run, well under a turn's time, so that a run that hangs
// leaves the model time to do better.
const runTime = 120 * time.Second

// answerTime is what a run leaves of the turn's time for the model to answer.
const answerTime = 10 * time.Second

// Pool is the part of a session pool that is needed; [sessions.Client] is one.
type Pool interface {
	Execute(ctx context.Context, identifier string, r sessions.ExecuteRequest) (*sessions.Execution, error)
	DeleteSession(ctx context.Context, identifier string) error
}

var _ Pool = (*sessions.Client)(nil)

// Interpreter gives conversations their Python. It is safe for concurrent use.
type Interpreter struct{ Pool Pool }

// Tools returns run_python in the session of that identifier. container names
// the container that ran the session's code last, or is empty; a run renews
// it. The tool is for one turn.
func (i Interpreter) Tools(identifier string, container *string) []agent.Tool {
	return []agent.Tool{&runPython{i.Pool, identifier, container}}
}

// Run runs code in the session, for at most limit (and what the pool allows,
// 220 seconds). Code that fails is a result; errors are classified.
func (i Interpreter) Run(ctx context.Context, identifier string, container *string, code string, limit time.Duration) (agent.Result, error) {
	return (&runPython{i.Pool, identifier, container}).run(ctx, code, limit)
}

// End ends the session with its variables and files. That there is none is no
// error; others are classified.
func (i Interpreter) End(ctx context.Context, identifier string) error {
	return explain(i.Pool.DeleteSession(ctx, identifier))
}

// Check asks the pool what it offers, and touches no session. It proves the
// endpoint, the identity and the role. Errors are classified.
func Check(ctx context.Context, pool *sessions.Client) error {
	_, err := pool.Metadata(ctx)
	return explain(err)
}

type runPython struct {
	pool       Pool
	identifier string
	container  *string
}

var _ agent.Tool = (*runPython)(nil)

// Spec says nothing of which packages there are: the model tries, and reads
// the ModuleNotFoundError. Runs are not parallel: a session has one kernel.
func (*runPython) Spec() agent.Spec {
	return agent.Spec{
		Name: "run_python",
		Description: "Runs Python in this conversation's sandbox and returns stdout, stderr and the value of the last expression. " +
			"Variables and imports stay until the sandbox is restarted, which a note then says. Files belong in /mnt/data. " +
			"There is no network. A run may take " + fmt.Sprint(int(runTime.Seconds())) + " seconds.",
		Parameters: json.RawMessage(`{"type":"object","properties":{"code":{"type":"string","description":"Python source. End with an expression to see its value."}},"required":["code"],"additionalProperties":false}`),
	}
}

// Call runs the code that the arguments hold. Code that fails is a result.
func (t *runPython) Call(ctx context.Context, arguments string, begin func(agent.Step)) (agent.Result, error) {
	code, err := decodeCode(arguments)
	if err != nil {
		return agent.Result{}, err
	}
	begin(agent.Step{Code: code})
	return t.run(ctx, code, timeLeft(ctx))
}

// run runs code for at most limit.
func (t *runPython) run(ctx context.Context, code string, limit time.Duration) (agent.Result, error) {
	e, err := t.pool.Execute(ctx, t.identifier, sessions.ExecuteRequest{Code: code, Timeout: limit, MaxStreamChars: maxStream})
	if err != nil {
		return agent.Result{}, explain(err)
	}
	notes := t.notes(e)
	return agent.Result{Step: step(code, e), Content: content(e, notes)}, nil
}

func decodeCode(arguments string) (string, error) {
	var args struct {
		Code *string `json:"code"`
	}
	if err := json.Unmarshal([]byte(arguments), &args); err != nil {
		return "", &agent.ArgumentError{Problem: "the arguments are not a JSON object with the string `code`: " + err.Error()}
	}
	if args.Code == nil || strings.TrimSpace(*args.Code) == "" {
		return "", &agent.ArgumentError{Problem: "`code` is missing or empty"}
	}
	return *args.Code, nil
}

// timeLeft returns how long a run may take in what is left of the turn.
func timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return runTime
	}
	return min(runTime, max(time.Second, time.Until(deadline)-answerTime))
}

// notes returns what the model has to know beside the output, and remembers
// the container for the next run.
func (t *runPython) notes(e *sessions.Execution) []string {
	var notes []string
	switch {
	case e.Failure == sessions.KernelRestarted:
		notes = append(notes, "[The interpreter was restarted: all variables are gone; files in /mnt/data are still there.]")
	case e.StateLost(*t.container):
		notes = append(notes, "[The sandbox is a new one: variables and files of earlier runs are gone.]")
	}
	if e.SessionGUID != "" {
		*t.container = e.SessionGUID
	}
	if e.Truncated {
		notes = append(notes, fmt.Sprintf("[stdout or stderr is cut at %d characters]", maxStream))
	}
	if format, data, ok := e.Image(); ok {
		notes = append(notes, fmt.Sprintf("[The code showed a %s image of %d bytes.]", format, len(data)))
	}
	return notes
}

func step(code string, e *sessions.Execution) agent.Step {
	s := agent.Step{Code: code, Status: agent.Succeeded, Stdout: e.Stdout, Stderr: e.Stderr, Result: e.ResultText(),
		Truncated: e.Truncated, DurationMS: e.Duration.Milliseconds()}
	if e.Status != sessions.Succeeded {
		s.Status = agent.Failed
	}
	return s
}

// content is a run as the model reads it.
func content(e *sessions.Execution, notes []string) string {
	var b strings.Builder
	b.WriteString("status: succeeded\n")
	if e.Status != sessions.Succeeded {
		b.Reset()
		fmt.Fprintf(&b, "status: failed (%s)\n", strings.ReplaceAll(string(e.Failure), "_", " "))
	}
	for _, note := range notes {
		b.WriteString(note + "\n")
	}
	for _, section := range []struct{ name, text string }{
		{"stdout", e.Stdout}, {"stderr", e.Stderr}, {"result", e.ResultText()},
	} {
		if section.text != "" {
			fmt.Fprintf(&b, "%s:\n%s\n", section.name, strings.TrimRight(section.text, "\n"))
		}
	}
	return b.String()
}
