package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/agent"
	"keyless/handler/conversation"
	"keyless/handler/fault"
	"keyless/handler/jobs"
	"keyless/handler/store"
)

// sandbox plays the session pool: what comes of a run is up to run.
type sandbox struct {
	mu    sync.Mutex
	run   func(ctx context.Context, code string) (agent.Result, error)
	codes []string
	ended int
}

func (s *sandbox) Tools(string, *string) []agent.Tool { return nil }

func (s *sandbox) Run(ctx context.Context, _ string, _ *string, code string, _ time.Duration) (agent.Result, error) {
	s.mu.Lock()
	s.codes = append(s.codes, code)
	run := s.run
	s.mu.Unlock()
	return run(ctx, code)
}

func (s *sandbox) End(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	return nil
}

func (s *sandbox) ran() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.codes)
}

// queue keeps what was sent, once an id.
type queue struct {
	ids    []string
	bodies [][]byte
	err    error
}

func (q *queue) Send(_ context.Context, id, _ string, body []byte) error {
	if q.err != nil {
		return q.err
	}
	if !slices.Contains(q.ids, id) {
		q.ids, q.bodies = append(q.ids, id), append(q.bodies, body)
	}
	return nil
}

type rig struct {
	*jobs.Service
	turns   *conversation.Service
	sandbox *sandbox
	queue   *queue
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := store.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	r := &rig{queue: &queue{}, sandbox: &sandbox{run: func(_ context.Context, code string) (agent.Result, error) {
		return agent.Result{Step: agent.Step{Status: agent.Succeeded, Code: code, Result: "42"}, Content: "42"}, nil
	}}}
	r.turns = &conversation.Service{Store: dir, Sessions: r.sandbox, HistoryTokens: 1000, Now: time.Now,
		Agent: &agent.Agent{Limits: agent.DefaultLimits(), Log: slog.New(slog.DiscardHandler)}}
	r.Service = &jobs.Service{Store: dir, Sender: r.queue, Turns: r.turns, TurnTime: time.Minute, Now: time.Now,
		Log: slog.New(slog.DiscardHandler)}
	return r
}

func (r *rig) submit(t *testing.T, q jobs.Request) jobs.Job {
	t.Helper()
	q.Owner = "me"
	job, err := r.Submit(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func (r *rig) get(t *testing.T, id string) jobs.Job {
	t.Helper()
	job, err := r.Get(t.Context(), "me", id, 0)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func TestAJobRuns(t *testing.T) {
	r := newRig(t)
	job := r.submit(t, jobs.Request{Code: "6 * 7"})
	if job.State != jobs.Queued || job.MaxAttempts != 3 || job.TimeoutSeconds != 220 || !job.ExpiresAt.After(job.CreatedAt) {
		t.Errorf("submitted: %+v", job)
	}
	for delivery := range 2 { // the second one is a redelivery
		if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil {
			t.Fatalf("delivery %d: %v", delivery, err)
		}
	}
	job = r.get(t, job.ID)
	if job.State != jobs.Succeeded || job.Attempts != 1 || job.Result.Steps[0].Result != "42" || job.FinishedAt.IsZero() || job.Error != nil {
		t.Errorf("done: %+v", job)
	}
	if r.sandbox.ran() != 1 {
		t.Errorf("the code ran %d times", r.sandbox.ran())
	}
	page, err := r.turns.Get(t.Context(), "me", job.ConversationID, 0, 10)
	if err != nil || len(page.Turns) != 1 || page.Turns[0].Code != "6 * 7" {
		t.Errorf("the conversation: %+v, %v", page, err)
	}
}

func TestCodeThatFailsIsNotAJobThatFails(t *testing.T) {
	r := newRig(t)
	r.sandbox.run = func(_ context.Context, code string) (agent.Result, error) {
		return agent.Result{Step: agent.Step{Status: agent.Failed, Code: code, Stderr: "Traceback …\nZeroDivisionError: division by zero\n"}}, nil
	}
	job := r.submit(t, jobs.Request{Code: "1 / 0"})
	if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil {
		t.Fatal(err)
	}
	job = r.get(t, job.ID)
	if job.State != jobs.Succeeded || job.Error == nil || job.Error.Fault != jobs.OfCode || job.Error.Detail != "ZeroDivisionError: division by zero" ||
		job.Result.Steps[0].Status != agent.Failed {
		t.Errorf("job = %+v, error %+v", job, job.Error)
	}
}

func TestTheMessageAloneIsEnough(t *testing.T) {
	r := newRig(t)
	job := r.submit(t, jobs.Request{Code: "6 * 7"})
	// The submitter died after it sent the message.
	other := newRig(t)
	other.turns.Store = r.turns.Store
	if err := other.Work(t.Context(), r.queue.bodies[0], false); code(err) != "" {
		t.Fatal(err)
	}
	if got, err := other.Get(t.Context(), "me", job.ID, 0); err != nil || got.State != jobs.Succeeded {
		t.Errorf("job = %+v, %v", got, err)
	}
}

func TestFailuresOfThePlatform(t *testing.T) {
	throttled := fault.New(fault.Throttled, "pool_throttled", "slow down")
	throttled.RetryAfter = 60 * time.Second
	for name, test := range map[string]struct {
		err      error
		times    int
		state    jobs.State
		attempts int
		fault    jobs.Fault
		took     time.Duration
	}{
		"throttled for a while": {throttled, 1, jobs.Succeeded, 1, "", time.Minute},
		"down for a while":      {fault.New(fault.Unavailable, "pool_unavailable", "down"), 2, jobs.Succeeded, 3, "", 10 * time.Second},
		"down for good":         {fault.New(fault.Unavailable, "pool_unavailable", "down"), 100, jobs.Failed, 3, jobs.OfPlatform, 10 * time.Second},
		"a role is missing":     {fault.New(fault.Denied, "pool_forbidden", "no role"), 100, jobs.Failed, 1, jobs.OfPlatform, 0},
		"refused":               {fault.New(fault.Refused, "content_filtered", "no"), 100, jobs.Failed, 1, jobs.OfCaller, 0},
		"a bug":                 {errors.New("oops"), 100, jobs.Failed, 3, jobs.OfPlatform, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				works := r.sandbox.run
				r.sandbox.run = func(ctx context.Context, code string) (agent.Result, error) {
					if r.sandbox.ran() <= test.times {
						return agent.Result{}, test.err
					}
					return works(ctx, code)
				}
				job := r.submit(t, jobs.Request{Code: "6 * 7"})
				start := time.Now()
				if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start).Round(time.Second); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
				job = r.get(t, job.ID)
				if job.State != test.state || job.Attempts != test.attempts {
					t.Errorf("%s after %d attempts, want %s after %d", job.State, job.Attempts, test.state, test.attempts)
				}
				if test.fault != "" && (job.Error == nil || job.Error.Fault != test.fault) || test.fault == "" && job.Error != nil {
					t.Errorf("error = %+v, want one of %q", job.Error, test.fault)
				}
			})
		})
	}
}

func TestThrottledTooLongIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.sandbox.run = func(context.Context, string) (agent.Result, error) {
			return agent.Result{}, fault.New(fault.Throttled, "pool_throttled", "slow down")
		}
		job := r.submit(t, jobs.Request{Code: "1"})
		if err := r.Work(t.Context(), r.queue.bodies[0], false); code(err) != "pool_throttled" {
			t.Errorf("Work = %v", err)
		}
		if job = r.get(t, job.ID); job.State != jobs.Queued || job.Attempts != 0 || job.Error.Code != "pool_throttled" {
			t.Errorf("given back: %+v", job)
		}
		if err := r.Work(t.Context(), r.queue.bodies[0], true); code(err) != "pool_throttled" {
			t.Errorf("the last delivery: %v", err)
		}
		if job = r.get(t, job.ID); job.State != jobs.Failed || job.Error.Fault != jobs.OfPlatform {
			t.Errorf("after the last delivery: %+v", job)
		}
	})
}

func TestAnInstanceThatDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		job := r.submit(t, jobs.Request{Code: "1", MaxAttempts: 2})
		die := func() {
			// The instance is gone before the outcome is recorded; its context
			// stands for the process.
			ctx, kill := context.WithCancel(t.Context())
			r.sandbox.run = func(ctx context.Context, _ string) (agent.Result, error) {
				kill()
				<-ctx.Done()
				return agent.Result{}, ctx.Err()
			}
			if err := r.Work(ctx, r.queue.bodies[0], false); err == nil {
				t.Fatal("a killed instance reported the message done")
			}
		}
		die()
		if job = r.get(t, job.ID); job.State.Final() || job.Attempts != 1 {
			t.Errorf("after one death: %+v", job)
		}
	})
}

func TestAnotherTurnHoldsTheConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		job := r.submit(t, jobs.Request{Code: "1"})
		entered, release := make(chan struct{}), make(chan struct{})
		var turn sync.WaitGroup
		turn.Go(func() {
			_, _ = r.turns.Answer(t.Context(), conversation.Question{Owner: "me", ConversationID: job.ConversationID, Code: "chat", Limit: time.Second,
				Enter: func(context.Context) error {
					close(entered)
					<-release
					return nil
				}}, nil)
		})
		<-entered
		time.AfterFunc(30*time.Second, func() { close(release) })
		if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil {
			t.Fatal(err)
		}
		turn.Wait()
		if job = r.get(t, job.ID); job.State != jobs.Succeeded || job.Attempts != 1 || job.Result.Number != 2 {
			t.Errorf("job = %+v", job)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		queued := r.submit(t, jobs.Request{Code: "never"})
		if got, err := r.Cancel(t.Context(), "me", queued.ID); err != nil || got.State != jobs.Canceled {
			t.Errorf("cancel a queued job: %+v, %v", got, err)
		}
		if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil || r.sandbox.ran() != 0 {
			t.Errorf("a canceled job ran %d times: %v", r.sandbox.ran(), err)
		}
		if _, err := r.Cancel(t.Context(), "me", queued.ID); code(err) != "job_finished" {
			t.Errorf("cancel it again: %v", err)
		}

		r.sandbox.run = func(ctx context.Context, _ string) (agent.Result, error) {
			<-ctx.Done()
			return agent.Result{}, ctx.Err()
		}
		running := r.submit(t, jobs.Request{Code: "long"})
		time.AfterFunc(10*time.Second, func() {
			if got, err := r.Cancel(t.Context(), "me", running.ID); err != nil || got.State != jobs.Running || !got.CancelRequested {
				t.Errorf("cancel a running job: %+v, %v", got, err)
			}
		})
		start := time.Now()
		if err := r.Work(t.Context(), r.queue.bodies[1], false); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 13*time.Second {
			t.Errorf("it stopped after %v", took)
		}
		if got := r.get(t, running.ID); got.State != jobs.Canceled || r.sandbox.ended != 1 {
			t.Errorf("canceled: %+v, %d sessions ended", got, r.sandbox.ended)
		}
	})
}

func TestProgressAndWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.sandbox.run = func(context.Context, string) (agent.Result, error) {
			<-time.After(20 * time.Second)
			return agent.Result{Step: agent.Step{Status: agent.Succeeded}}, nil
		}
		job := r.submit(t, jobs.Request{Code: "slow"})
		var work sync.WaitGroup
		work.Go(func() { _ = r.Work(t.Context(), r.queue.bodies[0], false) })
		start := time.Now()
		early, err := r.Get(t.Context(), "me", job.ID, 5*time.Second)
		if err != nil || early.State != jobs.Running || len(early.Steps) != 1 || early.Steps[0].Status != agent.Running || time.Since(start) != 5*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(start), early, err)
		}
		late, err := r.Get(t.Context(), "me", job.ID, time.Minute)
		if err != nil || late.State != jobs.Succeeded || time.Since(start) > 25*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(start), late, err)
		}
		work.Wait()
	})
}

func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	first := r.submit(t, jobs.Request{Code: "1", IdempotencyKey: "k"})
	again := r.submit(t, jobs.Request{Code: "1", IdempotencyKey: "k"})
	if again.ID != first.ID || len(r.queue.bodies) != 1 {
		t.Errorf("%s and %s, %d messages", first.ID, again.ID, len(r.queue.bodies))
	}
	if _, err := r.Submit(t.Context(), jobs.Request{Owner: "me", Code: "2", IdempotencyKey: "k"}); code(err) != "idempotency_key_reused" {
		t.Errorf("another body: %v", err)
	}
	if other, err := r.Submit(t.Context(), jobs.Request{Owner: "you", Code: "2", IdempotencyKey: "k"}); err != nil || other.ID == first.ID {
		t.Errorf("another owner: %+v, %v", other, err)
	}
}

func TestNothingIsStoredThatCouldNotBeSent(t *testing.T) {
	r := newRig(t)
	r.queue.err = fault.New(fault.Unavailable, "queue_unreachable", "down")
	if _, err := r.Submit(t.Context(), jobs.Request{Owner: "me", Code: "1", IdempotencyKey: "k"}); code(err) != "queue_unreachable" {
		t.Errorf("Submit = %v", err)
	}
	r.queue.err = nil
	if job := r.submit(t, jobs.Request{Code: "1", IdempotencyKey: "k"}); job.State != jobs.Queued || len(r.queue.bodies) != 1 {
		t.Errorf("the repeat: %+v", job)
	}
}

func TestBadRequests(t *testing.T) {
	r := newRig(t)
	for name, test := range map[string]struct {
		request jobs.Request
		code    string
	}{
		"neither":              {jobs.Request{}, "job_ambiguous"},
		"both":                 {jobs.Request{Code: "1", Message: "hi"}, "job_ambiguous"},
		"blank code":           {jobs.Request{Code: " \n"}, "code_empty"},
		"64 KiB and one":       {jobs.Request{Code: strings.Repeat("x", jobs.MaxCode+1)}, "code_too_long"},
		"blank message":        {jobs.Request{Message: " "}, "message_empty"},
		"too long a message":   {jobs.Request{Message: strings.Repeat("x", 32_001)}, "message_too_long"},
		"221 seconds":          {jobs.Request{Code: "1", TimeoutSeconds: 221}, "timeout_out_of_range"},
		"negative seconds":     {jobs.Request{Code: "1", TimeoutSeconds: -1}, "timeout_out_of_range"},
		"seconds of a message": {jobs.Request{Message: "hi", TimeoutSeconds: 5}, "timeout_out_of_range"},
		"six attempts":         {jobs.Request{Code: "1", MaxAttempts: 6}, "attempts_out_of_range"},
		"long key":             {jobs.Request{Code: "1", IdempotencyKey: strings.Repeat("k", 201)}, "idempotency_key_invalid"},
		"no such conversation": {jobs.Request{Code: "1", ConversationID: "nope"}, "conversation_not_found"},
	} {
		test.request.Owner = "me"
		if _, err := r.Submit(t.Context(), test.request); code(err) != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
	if page, err := r.List(t.Context(), "me", "", 10); err != nil || len(page.Jobs) != 0 || len(r.queue.bodies) != 0 {
		t.Errorf("stored %+v, sent %d, %v", page, len(r.queue.bodies), err)
	}
}

func TestAStrangersJobIsNotThere(t *testing.T) {
	r := newRig(t)
	job := r.submit(t, jobs.Request{Code: "1"})
	for _, id := range []string{job.ID, "nope", "../../x"} {
		if _, err := r.Get(t.Context(), "you", id, 0); code(err) != "job_not_found" {
			t.Errorf("Get %q = %v", id, err)
		}
		if _, err := r.Cancel(t.Context(), "you", id); code(err) != "job_not_found" {
			t.Errorf("Cancel %q = %v", id, err)
		}
	}
}

func TestPages(t *testing.T) {
	r := newRig(t)
	want := map[string]bool{}
	for n := range 5 {
		want[r.submit(t, jobs.Request{Code: fmt.Sprint(n)}).ID] = true
	}
	for cursor := ""; ; {
		page, err := r.List(t.Context(), "me", cursor, 2)
		if err != nil || len(page.Jobs) > 2 {
			t.Fatalf("page = %+v, %v", page, err)
		}
		for _, job := range page.Jobs {
			if !want[job.ID] || job.Code != "" {
				t.Errorf("listed %+v", job)
			}
			delete(want, job.ID)
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
		for _, bad := range []string{cursor[1:], cursor + "x", "x." + cursor, "%%%"} {
			if _, err := r.List(t.Context(), "me", bad, 2); code(err) != "cursor_invalid" {
				t.Errorf("cursor %q: %v", bad, err)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}

func TestExpiry(t *testing.T) {
	r := newRig(t)
	job := r.submit(t, jobs.Request{Code: "1"})
	r.Now = func() time.Time { return job.ExpiresAt.Add(time.Second) }
	if _, err := r.Get(t.Context(), "me", job.ID, 0); code(err) != "job_not_found" {
		t.Errorf("Get = %v", err)
	}
	if err := r.Work(t.Context(), r.queue.bodies[0], false); !errors.Is(err, jobs.ErrPoison) {
		t.Errorf("Work = %v", err)
	}
}

func TestPoison(t *testing.T) {
	r := newRig(t)
	for _, body := range []string{"", "hello", "[]", "{}", `{"job":{}}`, `{"job":{"job_id":"x","owner":"me"}}`, `{"job":"` + strings.Repeat("x", 256<<10) + `"}`} {
		if err := r.Work(t.Context(), []byte(body), false); !errors.Is(err, jobs.ErrPoison) {
			t.Errorf("%.40q: %v", body, err)
		}
	}
}

func FuzzWork(f *testing.F) {
	f.Add([]byte(`{"job":{"job_id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","conversation_id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","state":"succeeded","owner":"me","code":"1","max_attempts":1}}`))
	f.Add([]byte(`{"job":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := newRig(t)
		// Whatever it holds, no code of a job that is not whole is run.
		if err := r.Work(t.Context(), body, true); errors.Is(err, jobs.ErrPoison) && r.sandbox.ran() > 0 {
			t.Errorf("ran code of %q", body)
		}
	})
}
