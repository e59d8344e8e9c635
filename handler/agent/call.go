package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
)

// call runs the calls of one step and appends their outputs in the model's
// order. Every call gets an output, also when the turn ends here: the provider
// refuses a conversation in which one is missing.
func (t *turn) call(ctx context.Context, calls []Call) error {
	results := make([]Result, len(calls))
	err := t.runAll(ctx, calls, results)
	for i, result := range results {
		text := clip(result.Content, max(0, min(t.Limits.CallBytes, t.outputLeft)))
		t.outputLeft -= len(text)
		t.append(Item{Output: &Output{CallID: calls[i].ID, Text: text}})
		t.outcome.Steps = append(t.outcome.Steps, result.Step)
	}
	return err
}

// runAll fills results: the calls of parallel tools side by side, the others
// one after the other. The first platform failure stops them all.
func (t *turn) runAll(ctx context.Context, calls []Call, results []Result) error {
	first := len(t.outcome.Steps) + 1
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(t.Limits.Parallel)
	one := func(i int) (err error) {
		results[i], err = t.runOne(ctx, first+i, i, calls[i])
		return err
	}
	group.Go(func() error {
		var errs []error
		for i, c := range calls {
			if !t.parallel(c) {
				errs = append(errs, one(i))
			}
		}
		return errors.Join(errs...)
	})
	for i, c := range calls {
		if t.parallel(c) {
			group.Go(func() error { return one(i) })
		}
	}
	return group.Wait()
}

func (t *turn) parallel(c Call) bool {
	tool, ok := t.tools[c.Tool]
	return ok && tool.Spec().Parallel
}

// runOne runs one call and reports it. A result is always usable; the error
// is the platform's.
func (t *turn) runOne(ctx context.Context, number, index int, c Call) (Result, error) {
	start := time.Now()
	result, err := t.attempt(ctx, number, index, c)
	result.Step.Number, result.Step.Tool = number, c.Tool
	if result.Step.DurationMS == 0 {
		result.Step.DurationMS = time.Since(start).Milliseconds()
	}
	step := result.Step
	t.emit(Event{Ended: &step})
	return result, err
}

// attempt sorts what may come of a call: the tool's own result, content that
// tells the model why there is none, or the platform's failure.
func (t *turn) attempt(ctx context.Context, number, index int, c Call) (Result, error) {
	if err := ctx.Err(); err != nil {
		return unfinished(Step{}, err), err
	}
	tool, ok := t.tools[c.Tool]
	switch {
	case index >= t.Limits.Calls:
		return rejected("not run: at most %d calls in one step; ask again for what is still needed", t.Limits.Calls), nil
	case !ok:
		return rejected("there is no tool %q", c.Tool), nil
	}
	var begun Step
	result, err := t.guarded(ctx, tool, c, func(step Step) {
		begun = step
		step.Number, step.Tool, step.Status = number, c.Tool, Running
		t.emit(Event{Begun: &step})
	})
	bad, isBad := errors.AsType[*ArgumentError](err)
	switch {
	case err == nil:
		return result, nil
	case isBad:
		return rejected("%s", bad.Problem), nil
	case errors.Is(err, errPanicked):
		begun.Status = Failed
		return Result{Step: begun, Content: "error: the tool failed inside; try another way"}, nil
	}
	return unfinished(begun, err), err
}

var errPanicked = errors.New("the tool panicked")

// guarded calls the tool and turns a panic into an error: one bad call must
// not take down the process, which serves other turns.
func (t *turn) guarded(ctx context.Context, tool Tool, c Call, begin func(Step)) (_ Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.Log.LogAttrs(ctx, slog.LevelError, "tool panicked", slog.String("tool", c.Tool),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = errPanicked
		}
	}()
	return tool.Call(ctx, c.Arguments, begin)
}

func rejected(format string, args ...any) Result {
	problem := fmt.Sprintf(format, args...)
	return Result{Step: Step{Status: Rejected, Stderr: problem}, Content: "error: " + problem}
}

// unfinished is the result of a call that the platform or the caller ended.
func unfinished(begun Step, err error) Result {
	begun.Status = Failed
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		begun.Status = Canceled
	}
	return Result{Step: begun, Content: "error: the call was stopped before it ended; it may have had effects"}
}
