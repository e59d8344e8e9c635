package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/agent"
	"keyless/handler/fault"
)

// script is a model that takes its steps from a list.
type script struct {
	steps    []func(ctx context.Context, r agent.Request, text func(string)) (agent.Response, error)
	requests []agent.Request
}

func (s *script) Next(ctx context.Context, r agent.Request, text func(string)) (agent.Response, error) {
	s.requests = append(s.requests, r)
	step := s.steps[min(len(s.requests), len(s.steps))-1]
	return step(ctx, r, text)
}

type step = func(context.Context, agent.Request, func(string)) (agent.Response, error)

func answers(text string) step {
	return func(_ context.Context, _ agent.Request, out func(string)) (agent.Response, error) {
		if out != nil {
			for _, word := range strings.SplitAfter(text, " ") {
				out(word)
			}
		}
		return agent.Response{Text: text, Items: []agent.Item{{Model: json.RawMessage(`"answer"`)}},
			Usage: agent.Usage{InputTokens: 10, OutputTokens: 5}}, nil
	}
}

func calls(calls ...agent.Call) step {
	return func(context.Context, agent.Request, func(string)) (agent.Response, error) {
		var items []agent.Item
		for i := range calls {
			items = append(items, agent.Item{Model: json.RawMessage(fmt.Sprintf(`"call %d"`, i))})
		}
		return agent.Response{Calls: calls, Items: items, Usage: agent.Usage{InputTokens: 10, OutputTokens: 5}}, nil
	}
}

func fails(err error) step {
	return func(context.Context, agent.Request, func(string)) (agent.Response, error) {
		return agent.Response{}, err
	}
}

// tool is a tool made of a function.
type tool struct {
	name     string
	parallel bool
	run      func(ctx context.Context, arguments string) (agent.Result, error)
}

func (t tool) Spec() agent.Spec { return agent.Spec{Name: t.name, Parallel: t.parallel} }

func (t tool) Call(ctx context.Context, arguments string, begin func(agent.Step)) (agent.Result, error) {
	begin(agent.Step{Code: arguments})
	return t.run(ctx, arguments)
}

func echo(_ context.Context, arguments string) (agent.Result, error) {
	return agent.Result{Step: agent.Step{Status: agent.Succeeded, Stdout: arguments}, Content: "got " + arguments}, nil
}

func newAgent(limits func(*agent.Limits), steps ...step) (*agent.Agent, *script) {
	model := &script{steps: steps}
	a := &agent.Agent{Model: model, Limits: agent.DefaultLimits(), Log: slog.New(slog.DiscardHandler)}
	if limits != nil {
		limits(&a.Limits)
	}
	return a, model
}

var hello = []agent.Item{{User: "hello"}}

func ignore(agent.Event) {}

// paired fails the test unless each call item is followed by as many outputs.
func paired(t *testing.T, items []agent.Item) {
	t.Helper()
	open := 0
	for _, item := range items {
		switch {
		case strings.HasPrefix(string(item.Model), `"call`):
			open++
		case item.Output != nil:
			open--
		}
	}
	if open != 0 {
		t.Errorf("%d calls have no output: %+v", open, items)
	}
}

func TestAnswerAfterCalls(t *testing.T) {
	a, model := newAgent(nil,
		calls(agent.Call{ID: "a", Tool: "echo", Arguments: "1"}, agent.Call{ID: "b", Tool: "echo", Arguments: "2"}),
		answers("all is done"))
	var log []string
	out, err := a.Run(t.Context(), hello, []agent.Tool{tool{name: "echo", run: echo}}, func(e agent.Event) {
		switch {
		case e.Begun != nil:
			log = append(log, fmt.Sprintf("begun %d %s", e.Begun.Number, e.Begun.Code))
		case e.Ended != nil:
			log = append(log, fmt.Sprintf("ended %d %s", e.Ended.Number, e.Ended.Status))
		default:
			log = append(log, e.Text)
		}
	})
	if err != nil || out.Text != "all is done" || out.Limit != agent.LimitNone {
		t.Fatalf("Run = %+v, %v", out, err)
	}
	want := []string{"begun 1 1", "ended 1 succeeded", "begun 2 2", "ended 2 succeeded", "all ", "is ", "done"}
	if !slices.Equal(log, want) {
		t.Errorf("events = %q, want %q", log, want)
	}
	if out.Usage != (agent.Usage{InputTokens: 20, OutputTokens: 10}) {
		t.Errorf("usage = %+v", out.Usage)
	}
	paired(t, out.Items)
	second := model.requests[1].Items
	if got := second[len(second)-2:]; got[0].Output.Text != "got 1" || got[1].Output.CallID != "b" {
		t.Errorf("the model was handed %+v", got)
	}
}

func TestPiecesAddUpToTheText(t *testing.T) {
	talksAndCalls := func(ctx context.Context, r agent.Request, text func(string)) (agent.Response, error) {
		text("Let me see.")
		return calls(agent.Call{ID: "a", Tool: "echo"})(ctx, r, text)
	}
	unstreamed := func(context.Context, agent.Request, func(string)) (agent.Response, error) {
		return agent.Response{Text: "It is 4."}, nil
	}
	a, _ := newAgent(nil, talksAndCalls, unstreamed)
	var pieces strings.Builder
	out, err := a.Run(t.Context(), hello, []agent.Tool{tool{name: "echo", run: echo}}, func(e agent.Event) { pieces.WriteString(e.Text) })
	if want := "Let me see.\n\nIt is 4."; err != nil || out.Text != want || pieces.String() != want {
		t.Errorf("text = %q, pieces = %q, err = %v", out.Text, pieces.String(), err)
	}
}

func TestNobodyWatches(t *testing.T) {
	a, _ := newAgent(nil, calls(agent.Call{ID: "a", Tool: "echo"}), answers("all is done"))
	out, err := a.Run(t.Context(), hello, []agent.Tool{tool{name: "echo", run: echo}}, nil)
	if err != nil || out.Text != "all is done" || len(out.Steps) != 1 {
		t.Errorf("Run = %+v, %v", out, err)
	}
}

func TestWhatAToolDoesWrongIsContent(t *testing.T) {
	for name, test := range map[string]struct {
		call agent.Call
		run  func(context.Context, string) (agent.Result, error)
		want string
		step agent.Status
	}{
		"unknown tool": {agent.Call{ID: "a", Tool: "rm"}, echo, `error: there is no tool "rm"`, agent.Rejected},
		"bad arguments": {agent.Call{ID: "a", Tool: "t"}, func(context.Context, string) (agent.Result, error) {
			return agent.Result{}, fmt.Errorf("decode: %w", &agent.ArgumentError{Problem: "code is missing"})
		}, "error: code is missing", agent.Rejected},
		"panic": {agent.Call{ID: "a", Tool: "t"}, func(context.Context, string) (agent.Result, error) {
			panic("boom")
		}, "error: the tool failed inside; try another way", agent.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := newAgent(nil, calls(test.call), answers("sorry"))
			var logged bytes.Buffer
			a.Log = slog.New(slog.NewTextHandler(&logged, nil))
			out, err := a.Run(t.Context(), hello, []agent.Tool{tool{name: "t", run: test.run}}, ignore)
			if err != nil || out.Text != "sorry" {
				t.Fatalf("Run = %+v, %v", out, err)
			}
			if got := out.Items[1].Output.Text; got != test.want {
				t.Errorf("content = %q, want %q", got, test.want)
			}
			if out.Steps[0].Status != test.step {
				t.Errorf("status = %s, want %s", out.Steps[0].Status, test.step)
			}
			if name == "panic" && !strings.Contains(logged.String(), "boom") {
				t.Errorf("the panic is not in the log: %q", &logged)
			}
		})
	}
}

func TestPlatformFailureEndsTheTurnAndKeepsWhatWasDone(t *testing.T) {
	down := fault.New(fault.Unavailable, "pool_unavailable", "down")
	a, _ := newAgent(nil, calls(agent.Call{ID: "a", Tool: "echo"}), calls(agent.Call{ID: "b", Tool: "broken"}))
	out, err := a.Run(t.Context(), hello, []agent.Tool{tool{name: "echo", run: echo},
		tool{name: "broken", run: func(context.Context, string) (agent.Result, error) { return agent.Result{}, down }}}, ignore)
	if !errors.Is(err, down) {
		t.Errorf("err = %v, want %v", err, down)
	}
	if len(out.Steps) != 2 || out.Steps[0].Status != agent.Succeeded || out.Steps[1].Status != agent.Failed {
		t.Errorf("steps = %+v", out.Steps)
	}
	paired(t, out.Items)

	a, _ = newAgent(nil, calls(agent.Call{ID: "a", Tool: "echo"}), fails(down))
	out, err = a.Run(t.Context(), hello, []agent.Tool{tool{name: "echo", run: echo}}, ignore)
	if !errors.Is(err, down) || len(out.Steps) != 1 {
		t.Errorf("after a failing model: %+v, %v", out, err)
	}
	paired(t, out.Items)
}

func TestLimits(t *testing.T) {
	again := calls(agent.Call{ID: "a", Tool: "echo", Arguments: strings.Repeat("x", 100)})
	truncated := func(_ context.Context, _ agent.Request, text func(string)) (agent.Response, error) {
		text("as far as")
		return agent.Response{Text: "as far as", Truncated: true, Calls: []agent.Call{{ID: "cut", Tool: "echo"}}}, nil
	}
	for name, test := range map[string]struct {
		limits func(*agent.Limits)
		model  step
		want   agent.Limit
		steps  int
	}{
		"steps":     {func(l *agent.Limits) { l.Steps = 3 }, again, agent.LimitSteps, 3},
		"tokens":    {func(l *agent.Limits) { l.Tokens = 30 }, again, agent.LimitTokens, 2},
		"output":    {func(l *agent.Limits) { l.OutputBytes = 150 }, again, agent.LimitOutput, 2},
		"truncated": {nil, truncated, agent.LimitTokens, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := newAgent(test.limits, test.model)
			out, err := a.Run(t.Context(), hello, []agent.Tool{tool{name: "echo", run: echo}}, ignore)
			if !strings.HasSuffix(out.Text, `say "go on" to continue.]`) {
				t.Errorf("text = %q, want it to say that a limit was reached", out.Text)
			}
			if err != nil || out.Limit != test.want || len(out.Steps) != test.steps {
				t.Errorf("limit = %q after %d steps, err %v; want %q after %d", out.Limit, len(out.Steps), err, test.want, test.steps)
			}
			paired(t, out.Items)
		})
	}
}

func TestTooManyCallsInOneStep(t *testing.T) {
	var many []agent.Call
	for i := range 5 {
		many = append(many, agent.Call{ID: fmt.Sprint(i), Tool: "echo"})
	}
	a, _ := newAgent(func(l *agent.Limits) { l.Calls = 2 }, calls(many...), answers("ok"))
	out, err := a.Run(t.Context(), hello, []agent.Tool{tool{name: "echo", run: echo}}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range out.Steps {
		if want := map[bool]agent.Status{true: agent.Succeeded, false: agent.Rejected}[i < 2]; s.Status != want {
			t.Errorf("step %d is %s, want %s", s.Number, s.Status, want)
		}
	}
	paired(t, out.Items)
}

func TestLongContentKeepsStartAndEnd(t *testing.T) {
	long := tool{name: "long", run: func(context.Context, string) (agent.Result, error) {
		return agent.Result{Content: "first" + strings.Repeat("é", 5000) + "last"}, nil
	}}
	a, _ := newAgent(func(l *agent.Limits) { l.CallBytes = 1001 }, calls(agent.Call{ID: "a", Tool: "long"}), answers("ok"))
	out, err := a.Run(t.Context(), hello, []agent.Tool{long}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	got := out.Items[1].Output.Text
	if !strings.HasPrefix(got, "first") || !strings.HasSuffix(got, "last") || !strings.Contains(got, "bytes left out]") ||
		len(got) > 1100 || strings.ContainsRune(got, '\uFFFD') {
		t.Errorf("clipped to %d bytes: %.40q … %q", len(got), got, got[len(got)-40:])
	}
}

func TestParallelAndSerialTools(t *testing.T) {
	for _, parallel := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var running, most atomic.Int32
			slow := tool{name: "slow", parallel: parallel, run: func(ctx context.Context, arguments string) (agent.Result, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				<-time.After(time.Second)
				return echo(ctx, arguments)
			}}
			var six []agent.Call
			for i := range 6 {
				six = append(six, agent.Call{ID: fmt.Sprint(i), Tool: "slow", Arguments: fmt.Sprint(i)})
			}
			a, _ := newAgent(func(l *agent.Limits) { l.Parallel = 3 }, calls(six...), answers("ok"))
			start := time.Now()
			out, err := a.Run(t.Context(), hello, []agent.Tool{slow}, ignore)
			if err != nil {
				t.Fatal(err)
			}
			took, wantMost, wantTook := time.Since(start), int32(1), 6*time.Second
			if parallel {
				wantMost = 3
			}
			if parallel && took >= 4*time.Second || !parallel && took != wantTook {
				t.Errorf("parallel %v: six seconds of work took %v", parallel, took)
			}
			if most.Load() > wantMost {
				t.Errorf("parallel %v: %d ran at once, want %d", parallel, most.Load(), wantMost)
			}
			for i, s := range out.Steps {
				if s.Stdout != fmt.Sprint(i) || s.Number != i+1 {
					t.Errorf("step %d holds %q", s.Number, s.Stdout)
				}
			}
		})
	}
}

func TestTimeAndCancel(t *testing.T) {
	hangs := tool{name: "hangs", run: func(ctx context.Context, _ string) (agent.Result, error) {
		<-ctx.Done()
		return agent.Result{}, fmt.Errorf("execute: %w", ctx.Err())
	}}
	run := func(ctx context.Context) (agent.Outcome, error) {
		a, _ := newAgent(func(l *agent.Limits) { l.Time = time.Minute }, calls(agent.Call{ID: "a", Tool: "hangs", Arguments: "wait()"}))
		return a.Run(ctx, hello, []agent.Tool{hangs}, ignore)
	}
	synctest.Test(t, func(t *testing.T) {
		out, err := run(t.Context())
		if err != nil || out.Limit != agent.LimitTime {
			t.Errorf("at the time limit: %+v, %v", out, err)
		}
		paired(t, out.Items)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		out, err := run(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || out.Limit != agent.LimitNone {
			t.Errorf("at the caller's deadline: %+v, %v", out, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("stopped after %v", took)
		}
		if out.Steps[0].Status != agent.Canceled || out.Steps[0].Code != "wait()" {
			t.Errorf("step = %+v", out.Steps[0])
		}
		paired(t, out.Items)
	})
}
