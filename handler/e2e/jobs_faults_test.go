package e2e

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"keyless/handler/localazure"
	"keyless/handler/localazure/bus"
)

// The pool turns everyone away for longer than all attempts would take if each
// refusal were one.
func TestAThrottledPoolIsWaitedOut(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, s := newJobs(t, az)
	az.pool.Faults.Set(localazure.Fault{Status: 429, RetryAfter: time.Second})
	id := h.submit(t, `{"code": "6 * 7", "max_attempts": 1}`).text("job_id")
	timer := time.AfterFunc(12*time.Second, az.pool.Faults.Clear)
	defer timer.Stop()
	if got := h.await(t, id); got.text("state") != "succeeded" || got.field("attempts") != 1.0 {
		t.Errorf("the job: %s", got.body)
	}
	s.settled(t, 1)
}

// The receiver loses its hold on the message while the code runs, and the queue
// delivers the message again beside the first run.
func TestALockLostInTheMiddleOfARun(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, s := newJobs(t, az)
	id := h.submit(t, `{"code": "import time\ntime.sleep(4)\nopen('/mnt/data/ran', 'a').write('x')\nopen('/mnt/data/ran').read()"}`).text("job_id")
	for h.send(t, proxied, "GET", "/api/jobs/"+id, "").text("state") == "queued" {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the job did not start")
		}
	}
	s.DetachLinks()
	got := h.await(t, id)
	if got.text("state") != "succeeded" {
		t.Errorf("the job: %s", got.body)
	}
	// Whatever was delivered in between, one turn is in the conversation.
	history := h.send(t, proxied, "GET", "/api/conversations/"+got.text("conversation_id"), "")
	if turns := history.field("turns").([]any); len(turns) > 1 {
		t.Errorf("%d turns: %s", len(turns), history.body)
	}
	if c := s.Counts("jobs"); c.Delivered < 2 {
		t.Errorf("the message was not delivered again: %+v", c)
	}
}

// One job is sent to two instances at once, many times over.
func TestDuplicateSends(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	one, s := newJobs(t, az)
	env := maps.Clone(az.env)
	maps.Copy(env, s.settings())
	env["AGENT_STORAGE_DIR"] = one.dir
	two := startHandler(t, env)
	conversation := one.chat(t, "hello", "").text("conversation_id")
	body := fmt.Sprintf(`{"code": "6 * 7", "conversation_id": "%s"}`, conversation)
	ids := make([]string, 10)
	var sends sync.WaitGroup
	for n := range ids {
		h := []*handler{one, two}[n%2]
		sends.Go(func() {
			ids[n] = h.send(t, proxied, "POST", "/api/jobs", body, "Idempotency-Key", "same").text("job_id")
		})
	}
	sends.Wait()
	for _, id := range ids {
		if id != ids[0] || len(id) != 26 {
			t.Fatalf("ids = %q", ids)
		}
	}
	if got := one.await(t, ids[0]); got.text("state") != "succeeded" || got.field("attempts") != 1.0 {
		t.Errorf("the job: %s", got.body)
	}
	s.await(t, func(c bus.Counts) bool { return c.Active+c.Locked == 0 && c.Completed == c.Accepted-c.Duplicates })
	history := one.send(t, proxied, "GET", "/api/conversations/"+conversation, "")
	if turns := history.field("turns").([]any); len(turns) != 2 {
		t.Errorf("%d turns, want the message and the one job: %s", len(turns), history.body)
	}
}

// The broker is cut off, silent, and back, while jobs are submitted and run.
func TestABrokerThatGoesAndComesBack(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, s := newJobs(t, az)
	var ids []string
	for n, disturb := range []func(){s.CutConnections, s.CloseConnections, func() { s.Silence(true) }, func() {}} {
		disturb()
		unsilence := time.AfterFunc(time.Second, func() { s.Silence(false) })
		got := answer{}
		for try := 0; got.status != 202; try++ {
			got = h.send(t, proxied, "POST", "/api/jobs", fmt.Sprintf(`{"code": "%d"}`, n), "Idempotency-Key", fmt.Sprint(n))
			if got.status != 202 && got.status != 503 || try == 10 {
				t.Fatalf("submit: %d %s", got.status, got.body)
			}
		}
		unsilence.Stop()
		s.Silence(false)
		ids = append(ids, got.text("job_id"))
	}
	for _, id := range ids {
		if got := h.await(t, id); got.text("state") != "succeeded" {
			t.Errorf("a job: %s", got.body)
		}
	}
}
