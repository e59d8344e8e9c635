package jobs

import (
	"strings"
	"time"

	"keyless/handler/agent"
	"keyless/handler/conversation"
	"keyless/handler/fault"
)

// fate is what an error means for a job: the one decision whether to try again.
type fate struct {
	again bool          // try again, after wait
	wait  time.Duration // as the service asked, or what is usual
	free  bool          // the try does not count: nothing can have run
	fault Fault         // whose error it is
}

func fateOf(e *fault.Error) fate {
	switch e.Kind {
	case fault.Invalid, fault.TooLarge, fault.Unsupported, fault.NotFound, fault.Refused:
		return fate{fault: OfCaller}
	case fault.Denied, fault.Misconfigured:
		return fate{fault: OfPlatform}
	case fault.Conflict: // another turn is at work in the conversation
		return fate{again: true, free: true, wait: 2 * time.Second, fault: OfPlatform}
	case fault.Throttled:
		return fate{again: true, free: true, wait: max(e.RetryAfter, 5*time.Second), fault: OfPlatform}
	}
	return fate{again: true, wait: max(e.RetryAfter, 5*time.Second), fault: OfPlatform}
}

func platformError(err error) *Error {
	return &Error{OfPlatform, fault.From(err).Code, fault.From(err).Message}
}

// settle puts into the record what came of its attempt, and returns how long
// to wait before another one; zero if the job has ended.
func (r *record) settle(reply conversation.Reply, err error, canceled bool, now time.Time) time.Duration {
	if len(reply.Steps) > 0 || err == nil {
		r.Result = &reply
	}
	if err == nil {
		r.Error = codeError(r.Code, reply.Steps)
		r.finish(Succeeded, now)
		return 0
	}
	if canceled {
		r.Error = nil
		r.finish(Canceled, now)
		return 0
	}
	e := fault.From(err)
	f := fateOf(e)
	r.Error = &Error{f.fault, e.Code, e.Message}
	if f.free {
		r.Attempts--
	}
	if !f.again || r.Attempts >= r.MaxAttempts {
		r.finish(Failed, now)
		return 0
	}
	r.State, r.Steps = Queued, nil
	return f.wait
}

// codeError says how a job's code failed, though the job did not: nil if it
// did not fail.
func codeError(code string, steps []agent.Step) *Error {
	if code == "" || len(steps) == 0 || steps[0].Status == agent.Succeeded {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(steps[0].Stderr), "\n")
	return &Error{OfCode, "code_failed", lines[len(lines)-1]}
}
