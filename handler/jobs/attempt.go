package jobs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"keyless/handler/agent"
	"keyless/handler/conversation"
	"keyless/handler/fault"
)

const (
	// pollTime is how often a running job looks whether it was canceled, and
	// tells how far it is.
	pollTime = 2 * time.Second
	// recordTime bounds the writing of an outcome.
	recordTime = 30 * time.Second
)

var (
	// errOver: the job is not to be run (any more); its record says why.
	errOver = errors.New("the job is over")
	// errOvertaken: while this attempt ran, another one took its place.
	errOvertaken = errors.New("another attempt has taken this one's place")
)

// attempt is one run of a job. Its number is what tells it from a later one
// that took its place because it was thought dead.
type attempt struct {
	*Service
	owner, id string
	number    int
	wait      time.Duration // before the next one; zero: the job has ended

	cancel   context.CancelFunc // stops what runs
	watching sync.WaitGroup
	unwatch  context.CancelFunc

	mu       sync.Mutex // guards what follows
	steps    []agent.Step
	canceled bool
}

// attempt runs the job once. It returns nil when the job has ended; else why
// it has not, and how long to wait before another attempt.
func (s *Service) attempt(ctx context.Context, r *record) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.limit(r))
	defer cancel()
	a := &attempt{Service: s, owner: r.Owner, id: r.ID, cancel: cancel, unwatch: func() {}}
	_, err = s.Turns.Answer(ctx, conversation.Question{
		Owner: r.Owner, ConversationID: r.ConversationID, Message: r.Message, Code: r.Code,
		Limit: time.Duration(r.TimeoutSeconds) * time.Second, Enter: a.enter, Leave: a.leave,
	}, a.event)
	a.stopWatching()
	if err != nil && a.number > 0 {
		s.Log.WarnContext(ctx, "attempt of a job failed", "job", a.id, "attempt", a.number, "canceled", a.canceled, "error", err)
	}
	switch {
	case errors.Is(err, errOver), errors.Is(err, errOvertaken):
		return 0, nil
	case a.number == 0: // it was not entered
		return s.kept(ctx, r, err)
	case errors.Is(err, errUnrecorded):
		return pollTime, err
	case a.wait == 0: // it has ended, and the record says how
		return 0, nil
	}
	return a.wait, err
}

// limit bounds an attempt, so that one that hangs ends before its lock does.
func (s *Service) limit(r *record) time.Duration {
	if r.Message != "" {
		return s.TurnTime + recordTime
	}
	return time.Duration(r.TimeoutSeconds)*time.Second + recordTime
}

// kept says what it means that the conversation could not be entered.
func (s *Service) kept(ctx context.Context, r *record, err error) (time.Duration, error) {
	e := fault.From(err)
	f := fateOf(e)
	if f.again {
		return f.wait, err
	}
	return 0, s.end(ctx, r, &Error{f.fault, e.Code, e.Message}) // deleted, or full
}

// enter claims the job, when its conversation is locked.
func (a *attempt) enter(ctx context.Context) error {
	over := false
	r, err := a.edit(ctx, a.owner, a.id, func(r *record) error {
		over = true
		switch {
		case r.State.Final():
			return errOver
		case r.CancelRequested: // of an attempt that died
			r.finish(Canceled, a.Now())
		case r.Attempts >= r.MaxAttempts:
			r.Error = &Error{OfPlatform, "job_interrupted", "The last attempt that the job had broke off in the middle: its instance died."}
			r.finish(Failed, a.Now())
		default:
			over = false
			r.Attempts++
			r.State, r.StartedAt, r.Error, r.Result = Running, a.Now().UTC().Truncate(time.Millisecond), nil, nil
		}
		return nil
	})
	if err == nil && over {
		err = errOver
	}
	if err != nil {
		return err
	}
	a.number = r.Attempts
	ctx, a.unwatch = context.WithCancel(ctx)
	a.watching.Go(func() { a.watch(ctx) })
	return nil
}

// errUnrecorded tells that what came of the attempt could not be recorded.
var errUnrecorded = errors.New("record the job's outcome")

// leave records what came of the attempt, while its conversation is locked.
func (a *attempt) leave(ctx context.Context, reply conversation.Reply, err error) error {
	a.stopWatching()
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	_, failed := a.edit(ctx, a.owner, a.id, func(r *record) error {
		if r.State != Running || r.Attempts != a.number {
			return errOvertaken
		}
		a.wait = r.settle(reply, err, a.canceled, a.Now())
		return nil
	})
	if failed != nil && !errors.Is(failed, errOvertaken) {
		return errors.Join(errUnrecorded, failed)
	}
	return failed
}

func (a *attempt) stopWatching() {
	a.unwatch()
	a.watching.Wait()
}

// event notes a step for the watcher to tell.
func (a *attempt) event(e conversation.Event) {
	step := e.Begun
	if e.Ended != nil {
		step = e.Ended
	}
	if step == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(a.steps, func(s agent.Step) bool { return s.Number == step.Number })
	if at < 0 {
		a.steps = append(a.steps, *step)
		return
	}
	a.steps[at] = *step
}

// watch tells how far the attempt is, and stops it when the job is canceled.
// What fails here is tried again at the next turn; the outcome does not hang
// on it.
func (a *attempt) watch(ctx context.Context) {
	told := 0
	for pause(ctx, pollTime) {
		r, err := a.load(ctx, a.owner, a.id)
		switch {
		case err != nil:
		case r.CancelRequested:
			a.stop(ctx, r.ConversationID)
			return
		default:
			told = a.tell(ctx, told)
		}
	}
}

// stop cancels the attempt, and ends the session: nothing else stops the code
// that runs there.
func (a *attempt) stop(ctx context.Context, conversationID string) {
	a.mu.Lock()
	a.canceled = true
	a.mu.Unlock()
	a.cancel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	_ = a.Turns.Interrupt(ctx, a.owner, conversationID) // the session ends by itself after its cooldown
}

// tell writes the steps so far into the record if there is news, and returns
// how much it has told.
func (a *attempt) tell(ctx context.Context, told int) int {
	a.mu.Lock()
	steps := slices.Clone(a.steps)
	a.mu.Unlock()
	news := 0
	for _, step := range steps {
		news += 1 + len(step.Status)
	}
	if news == told {
		return told
	}
	_, err := a.edit(ctx, a.owner, a.id, func(r *record) error {
		if r.State != Running || r.Attempts != a.number {
			return errOvertaken
		}
		r.Steps = steps
		return nil
	})
	if err != nil {
		return told
	}
	return news
}
