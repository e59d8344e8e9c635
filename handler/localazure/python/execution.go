package python

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"
)

// grace is how long interrupted code has to yield before its worker is
// killed. It is taken in by 20 ms, but with 16 busy workers to a processor it
// took up to 125.
const grace = time.Second

// maxValue bounds a value's repr, in bytes.
const maxValue = 64 << 10

// execution is one run of code in a worker.
type execution struct {
	process *process
	request Request
	number  int

	stdout, stderr head
	interrupted    bool
	killed         bool
}

// run sends the code to the worker and returns when the code has ended, or
// the worker has. It interrupts the code at its timeout or at the end of ctx.
func (x *execution) run(ctx context.Context) Outcome {
	x.stdout.max, x.stderr.max = x.request.MaxStreamBytes, x.request.MaxStreamBytes
	begun := time.Now()
	result := x.exchange(ctx)
	outcome := x.outcome(result)
	outcome.Duration = time.Since(begun)
	return outcome
}

// exchange returns how the cell ended; nil if the worker died over it.
func (x *execution) exchange(ctx context.Context) *done {
	x.send(order{Run: &cell{Number: x.number, Code: x.request.Code, MaxStreamBytes: x.request.MaxStreamBytes}})
	timeout := time.NewTimer(x.request.Timeout)
	defer timeout.Stop()
	canceled := ctx.Done()
	var last <-chan time.Time // when the grace is over
	for {
		select {
		case r, ok := <-x.process.reports:
			if !ok {
				return nil
			}
			if r.Done != nil && r.Done.Cell == x.number {
				return r.Done
			}
			_, _ = x.stdout.Write(r.Stdout)
			_, _ = x.stderr.Write(r.Stderr)
		case <-timeout.C:
			last = x.interrupt(last)
		case <-canceled:
			canceled = nil
			last = x.interrupt(last)
		case <-last:
			x.killed = true
			x.process.kill()
		}
	}
}

// interrupt interrupts the code, unless it has been, and returns when to kill
// it.
func (x *execution) interrupt(last <-chan time.Time) <-chan time.Time {
	if x.interrupted {
		return last
	}
	x.interrupted = true
	x.send(order{Interrupt: x.number})
	return time.After(grace)
}

// send sends an order. If that fails the worker is ending, which shows at the
// other end of it.
func (x *execution) send(o order) {
	if err := writeFrame(x.process.stdin, o); err != nil {
		x.process.kill()
	}
}

// outcome puts together what came of the run.
func (x *execution) outcome(d *done) Outcome {
	o := Outcome{Stdout: text(x.stdout.kept), Stderr: text(x.stderr.kept)}
	switch {
	case d == nil && x.killed:
		o.Ending = Killed
	case d == nil:
		o.Ending = Crashed
	case d.Traceback == nil:
		o.Ending = Completed
		o.Value = d.Value
	case x.interrupted:
		o.Ending = Interrupted
	default:
		o.Ending = Raised
	}
	if d != nil && d.Traceback != nil {
		o.Stderr = withEnd(o.Stderr, *d.Traceback, x.request.MaxStreamBytes)
	}
	if o.Value != nil {
		*o.Value = text([]byte(*o.Value)[:min(len(*o.Value), maxValue)])
	}
	return o
}

// withEnd appends end to s within limit bytes, cutting first from s: the end
// of a traceback says what went wrong.
func withEnd(s, end string, limit int) string {
	end = text([]byte(end)[max(0, len(end)-limit):])
	return text([]byte(s)[:min(len(s), limit-len(end))]) + end
}

// text returns b as valid UTF-8, without a character that was cut in two at
// either end.
func text(b []byte) string {
	for n := 0; n < utf8.UTFMax-1 && len(b) > 0 && !utf8.RuneStart(b[0]); n++ {
		b = b[1:]
	}
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if at := len(b) - n; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				b = b[:at]
			}
			break
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
