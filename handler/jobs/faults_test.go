package jobs_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/agent"
	"keyless/handler/fault"
	"keyless/handler/jobs"
)

// The lock of a message was lost while the job ran, and the queue delivered it
// to another instance, whose clock is five minutes ahead.
func TestTwoDeliveriesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		entered := make(chan struct{}, 2)
		r.sandbox.run = func(context.Context, string) (agent.Result, error) {
			entered <- struct{}{}
			<-time.After(30 * time.Second)
			return agent.Result{Step: agent.Step{Status: agent.Succeeded}}, nil
		}
		job := r.submit(t, jobs.Request{Code: "slow"})
		ahead := *r.Service
		ahead.Now = func() time.Time { return time.Now().Add(5 * time.Minute) }
		var work sync.WaitGroup
		work.Go(func() {
			if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil {
				t.Error(err)
			}
		})
		<-entered
		work.Go(func() {
			if err := ahead.Work(t.Context(), r.queue.bodies[0], false); err != nil {
				t.Error(err)
			}
		})
		work.Wait()
		if job = r.get(t, job.ID); job.State != jobs.Succeeded || job.Attempts != 1 || r.sandbox.ran() != 1 {
			t.Errorf("the code ran %d times: %+v", r.sandbox.ran(), job)
		}
	})
}

// flaky is a store whose edits fail while it is down.
type flaky struct {
	jobs.Store
	down atomic.Bool
}

func (f *flaky) Edit(ctx context.Context, key string, fn func(data []byte) ([]byte, error)) error {
	if f.down.Load() {
		return fault.New(fault.Unavailable, "storage_unreachable", "down")
	}
	return f.Store.Edit(ctx, key, fn)
}

// The outcome cannot be written at first. Nothing is said to be done that is
// not recorded.
func TestAResultThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		store := &flaky{Store: r.Store}
		r.Store = store
		works := r.sandbox.run
		r.sandbox.run = func(ctx context.Context, code string) (agent.Result, error) {
			store.down.Store(r.sandbox.ran() == 1)
			return works(ctx, code)
		}
		time.AfterFunc(10*time.Second, func() { store.down.Store(false) })
		job := r.submit(t, jobs.Request{Code: "6 * 7"})
		if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil {
			t.Fatal(err)
		}
		if job = r.get(t, job.ID); job.State != jobs.Succeeded || job.Attempts != 2 {
			t.Errorf("job = %+v", job)
		}
		page, err := r.turns.Get(t.Context(), "me", job.ConversationID, 0, 10)
		if err != nil || len(page.Turns) != 1 {
			t.Errorf("the conversation has %d turns, want the one that counted: %v", len(page.Turns), err)
		}
	})
}

// All attempts died with their instances; the next delivery says so.
func TestAllAttemptsDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		store := &flaky{Store: r.Store}
		r.Store = store
		job := r.submit(t, jobs.Request{Code: "1", MaxAttempts: 1})
		// A process that is killed writes nothing more.
		ctx, kill := context.WithCancel(t.Context())
		r.sandbox.run = func(context.Context, string) (agent.Result, error) {
			store.down.Store(true)
			kill()
			return agent.Result{}, errors.New("killed")
		}
		if err := r.Work(ctx, r.queue.bodies[0], false); err == nil {
			t.Fatal("a killed instance reported the message done")
		}
		store.down.Store(false)
		if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil {
			t.Fatal(err)
		}
		if job = r.get(t, job.ID); job.State != jobs.Failed || job.Error.Code != "job_interrupted" || r.sandbox.ran() != 1 {
			t.Errorf("job = %+v, error %+v", job, job.Error)
		}
	})
}

func TestTheConversationWasDeleted(t *testing.T) {
	r := newRig(t)
	job := r.submit(t, jobs.Request{Code: "1"})
	if err := r.turns.Delete(t.Context(), "me", job.ConversationID); err != nil {
		t.Fatal(err)
	}
	if err := r.Work(t.Context(), r.queue.bodies[0], false); err != nil {
		t.Fatal(err)
	}
	if job = r.get(t, job.ID); job.State != jobs.Failed || job.Error.Fault != jobs.OfCaller || job.Error.Code != "conversation_not_found" {
		t.Errorf("job = %+v, error %+v", job, job.Error)
	}
}
