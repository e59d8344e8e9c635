package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyless/handler/localazure"
	"keyless/handler/localazure/bus"
	"keyless/handler/localazure/python"
)

// newJobs starts a handler with a queue and the host's trigger.
func newJobs(t *testing.T, az *azure) (*handler, *serviceBus) {
	t.Helper()
	s := newServiceBus(t, az.tokens.Issuer)
	env := maps.Clone(az.env)
	maps.Copy(env, s.settings())
	h := startHandler(t, env)
	s.pump(t, h.base, nil)
	return h, s
}

func (h *handler) submit(t *testing.T, body string, headers ...string) answer {
	t.Helper()
	got := h.send(t, proxied, "POST", "/api/jobs", body, headers...)
	if got.status != 202 {
		t.Fatalf("submit: %d %s", got.status, got.body)
	}
	return got
}

// await waits for the job to end.
func (h *handler) await(t *testing.T, id string) answer {
	t.Helper()
	got := h.send(t, proxied, "GET", "/api/jobs/"+id+"?wait=60", "")
	if got.status != 200 || slices.Contains([]string{"queued", "running"}, got.text("state")) {
		t.Fatalf("await: %d %s", got.status, got.body)
	}
	return got
}

func TestAJobTakesTheWholeRoad(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, s := newJobs(t, az)
	submitted := h.submit(t, `{"code": "print('working')\n6 * 7"}`)
	id := submitted.text("job_id")
	if submitted.header.Get("Location") != "/api/jobs/"+id { // its state may be any by now
		t.Errorf("submitted: %v %s", submitted.header, submitted.body)
	}
	done := h.await(t, id)
	if done.text("state") != "succeeded" || !strings.Contains(string(done.body), `"result":"42"`) || !strings.Contains(string(done.body), `working`) {
		t.Errorf("done: %s", done.body)
	}
	if !slices.ContainsFunc(az.take(), func(call string) bool { return strings.HasSuffix(call, " https://servicebus.azure.net") }) {
		t.Error("no token was fetched for Service Bus")
	}
	// A job and a chat turn share the conversation, variables included.
	conversation := done.text("conversation_id")
	second := h.await(t, h.submit(t, `{"code": "x = _ + 1", "conversation_id": "`+conversation+`"}`).text("job_id"))
	if second.text("state") != "succeeded" {
		t.Errorf("second: %s", second.body)
	}
	if got := h.chat(t, "run x", conversation); !strings.Contains(got.text("reply"), "43") {
		t.Errorf("the chat turn: %s", got.body)
	}
	if got := h.send(t, proxied, "GET", "/api/jobs?limit=1", ""); got.status != 200 || len(got.field("jobs").([]any)) != 1 || got.text("cursor") == "" {
		t.Errorf("list: %d %s", got.status, got.body)
	}
	s.settled(t, 2)
}

func TestJobsOfAConversationRunInOrder(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, _ := newJobs(t, az)
	first := h.submit(t, `{"code": "order = [0]"}`)
	conversation, last := first.text("conversation_id"), ""
	for n := 1; n <= 5; n++ {
		last = h.submit(t, fmt.Sprintf(`{"code": "order.append(%d); order", "conversation_id": "%s"}`, n, conversation)).text("job_id")
	}
	if got := h.await(t, last); !strings.Contains(string(got.body), `[0,1,2,3,4,5]`) {
		t.Errorf("last: %s", got.body)
	}
}

func TestABackgroundTurn(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, _ := newJobs(t, az)
	submitted := h.send(t, proxied, "POST", "/api/chat", `{"message": "run 6 * 7", "background": true}`)
	if submitted.status != 202 {
		t.Fatalf("submit: %d %s", submitted.status, submitted.body)
	}
	if done := h.await(t, submitted.text("job_id")); done.text("state") != "succeeded" || !strings.Contains(string(done.body), "It says: ") {
		t.Errorf("done: %s", done.body)
	}
}

func TestCancelingARunningJob(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, _ := newJobs(t, az)
	id := h.submit(t, `{"code": "import time; time.sleep(100)"}`).text("job_id")
	deadline := time.After(30 * time.Second)
	for h.send(t, proxied, "GET", "/api/jobs/"+id, "").text("state") == "queued" {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("the job did not start")
		}
	}
	if got := h.send(t, proxied, "DELETE", "/api/jobs/"+id, ""); got.status != 200 || got.field("cancel_requested") != true {
		t.Errorf("cancel: %d %s", got.status, got.body)
	}
	if got := h.await(t, id); got.text("state") != "canceled" {
		t.Errorf("canceled: %s", got.body)
	}
	if got := h.send(t, proxied, "DELETE", "/api/jobs/"+id, ""); got.status != 409 || got.text("code") != "job_finished" {
		t.Errorf("cancel again: %d %s", got.status, got.body)
	}
}

func TestJobsBadInput(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, s := newJobs(t, az)
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"neither":         {"POST", "/api/jobs", `{}`, 400, "job_ambiguous"},
		"both":            {"POST", "/api/jobs", `{"code": "1", "message": "hi"}`, 400, "job_ambiguous"},
		"unknown field":   {"POST", "/api/jobs", `{"code": "1", "timeout": 5}`, 400, "field_unknown"},
		"too long":        {"POST", "/api/jobs", `{"code": "` + strings.Repeat("x", 65_537) + `"}`, 413, "code_too_long"},
		"timeout":         {"POST", "/api/jobs", `{"code": "1", "timeout_seconds": 500}`, 400, "timeout_out_of_range"},
		"conversation":    {"POST", "/api/jobs", `{"code": "1", "conversation_id": "aaaaaaaaaaaaaaaaaaaaaaaaaa"}`, 404, "conversation_not_found"},
		"unknown job":     {"GET", "/api/jobs/aaaaaaaaaaaaaaaaaaaaaaaaaa", "", 404, "job_not_found"},
		"malformed id":    {"DELETE", "/api/jobs/..%2f..%2fetc", "", 404, "job_not_found"},
		"cursor":          {"GET", "/api/jobs?cursor=abc", "", 400, "cursor_invalid"},
		"wait":            {"GET", "/api/jobs/aaaaaaaaaaaaaaaaaaaaaaaaaa?wait=61", "", 400, "parameter_invalid"},
		"post to a job":   {"POST", "/api/jobs/aaaaaaaaaaaaaaaaaaaaaaaaaa", `{"code": "1"}`, 405, "method_not_allowed"},
		"delete them":     {"DELETE", "/api/jobs", "", 405, "method_not_allowed"},
		"not an envelope": {"POST", "/run-job", "hello", 400, "envelope_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := h.send(t, proxied, test.method, test.path, test.body); got.status != test.status || got.text("code") != test.code {
				t.Errorf("answer %d %s, want %d %s", got.status, got.body, test.status, test.code)
			}
		})
	}
	if c := s.Counts("jobs"); c.Accepted != 0 || h.stored(t) != 0 {
		t.Errorf("bad input was sent or stored: %+v, %d records", c, h.stored(t))
	}
}

// Everything that a deployment has: records in Blob Storage, jobs on a bus
// behind TLS, and two instances of which either may do the work.
func TestJobsInBlobStorage(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	s := newServiceBus(t, az.tokens.Issuer)
	env := maps.Clone(az.env)
	maps.Copy(env, s.settings())
	storage := newStorage(t, az.tokens.Issuer)
	maps.Copy(env, storage)
	env["SSL_CERT_FILE"] = joined(t, s.certFile, storage["SSL_CERT_FILE"])
	one, two := startHandler(t, env), startHandler(t, env)
	s.pump(t, two.base, nil)
	id := one.submit(t, `{"code": "6 * 7"}`).text("job_id")
	if got := one.await(t, id); got.text("state") != "succeeded" || !strings.Contains(string(got.body), `"result":"42"`) {
		t.Errorf("done: %s", got.body)
	}
	if got := two.send(t, proxied, "GET", "/api/jobs", ""); got.status != 200 || len(got.field("jobs").([]any)) != 1 {
		t.Errorf("list: %d %s", got.status, got.body)
	}
}

// joined returns a file with the content of both.
func joined(t *testing.T, files ...string) string {
	t.Helper()
	var all []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	name := filepath.Join(t.TempDir(), "joined.pem")
	if err := os.WriteFile(name, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Messages that are no jobs of ours are put aside as evidence, and hold up
// nobody.
func TestPoisonIsDeadLettered(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h, s := newJobs(t, az)
	for id, body := range map[string]string{
		"not-json": "hello", "no-job": "{}", "big": `{"job":{"owner":"` + strings.Repeat("x", 200<<10) + `"}}`,
		"unknown-conversation": `{"job":{"job_id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","conversation_id":"x","state":"queued","owner":"me","code":"1","max_attempts":1}}`,
	} {
		s.send(t, id, []byte(body))
	}
	done := h.await(t, h.submit(t, `{"code": "6 * 7"}`).text("job_id"))
	if done.text("state") != "succeeded" {
		t.Errorf("a job beside poison: %s", done.body)
	}
	s.await(t, func(c bus.Counts) bool { return c.DeadLettered == 4 && c.Completed == 1 && c.Active+c.Locked == 0 })
	if n := h.stored(t); n != 2 { // the good job and its conversation
		t.Errorf("%d records are stored", n)
	}
}

func TestNoQueueIsConfigured(t *testing.T) {
	h := startHandler(t, newAzure(t, localazure.PlannerFunc(runs)).env)
	if got := h.send(t, proxied, "POST", "/api/jobs", `{"code": "1"}`); got.status != 502 || got.text("code") != "jobs_not_configured" {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

// echoes is a Python whose result is its code, at once.
type echoes struct{ runs *atomic.Int64 }

func (e echoes) Run(_ context.Context, r python.Request) (python.Outcome, error) {
	e.runs.Add(1)
	return python.Outcome{Ending: python.Completed, Value: &r.Code}, nil
}

func (echoes) Close() error { return nil }

// slot is a place where a handler runs, is killed, and is started again by the
// host, which holds back what it has for the handler meanwhile.
type slot struct {
	env map[string]string
	h   *handler

	restarting sync.RWMutex // held for writing while there is no handler
}

// RoundTrip sends a call of the host's once the handler is up.
func (s *slot) RoundTrip(r *http.Request) (*http.Response, error) {
	s.restarting.RLock()
	//lint:ignore SA2001 it is only waited for
	s.restarting.RUnlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (s *slot) restart(t *testing.T) {
	s.restarting.Lock()
	defer s.restarting.Unlock()
	s.h.kill()
	s.h = startHandler(t, s.env)
}

// Handlers are killed at random points while hundreds of jobs are under way on
// two of them: each job ends with exactly one result.
func TestKilledHandlersLoseNoJob(t *testing.T) {
	const jobs, conversations, kills = 300, 30, 8
	var ran atomic.Int64
	az := newAzureWith(t, localazure.PlannerFunc(runs), localazure.SessionPoolConfig{MaxSessions: 1000,
		Start: func(context.Context, string) (localazure.PythonSession, error) { return echoes{&ran}, nil }})
	queue := newServiceBus(t, az.tokens.Issuer)
	storage := t.TempDir()
	var slots []*slot
	for range 2 {
		env := maps.Clone(az.env)
		maps.Copy(env, queue.settings())
		env["AGENT_STORAGE_DIR"], env["FUNCTIONS_CUSTOMHANDLER_PORT"] = storage, freePort(t)
		s := &slot{env: env, h: startHandler(t, env)}
		slots = append(slots, s)
		queue.pump(t, s.h.base, &http.Client{Transport: s})
	}

	ids := submitAll(t, slots, jobs, conversations, func(n int) {
		if n%(jobs/kills) == 0 {
			slots[rand.IntN(2)].restart(t)
		}
	})

	for n, id := range ids {
		got := slots[0].h.await(t, id)
		var job struct {
			State    string
			Attempts int
			Result   struct{ Steps []struct{ Result string } }
		}
		if err := json.Unmarshal(got.body, &job); err != nil {
			t.Fatal(err)
		}
		if job.State != "succeeded" || len(job.Result.Steps) != 1 || job.Result.Steps[0].Result != fmt.Sprint(n) {
			t.Errorf("job %d: %s", n, got.body)
		}
	}
	counts := queue.Counts("jobs")
	t.Logf("%d jobs, %d kills: the code ran %d times, %d deliveries, %d abandoned, %d duplicates dropped", jobs, kills, ran.Load(),
		counts.Delivered, counts.Abandoned, counts.Duplicates)
	if counts.DeadLettered != 0 {
		t.Errorf("the queue: %+v", counts)
	}
}

// submitAll submits jobs whose code is their number, to one slot after the
// other, each until it has a yes; between calls it calls disturb.
func submitAll(t *testing.T, slots []*slot, jobs, conversations int, disturb func(n int)) []string {
	t.Helper()
	ids, homes := make([]string, jobs), make([]string, conversations)
	for n := range jobs {
		body := fmt.Sprintf(`{"code": "%d", "max_attempts": 5, "conversation_id": "%s"}`, n, homes[n%conversations])
		for try := 0; ids[n] == ""; try++ {
			if try == 100 {
				t.Fatalf("job %d was not taken in %d tries", n, try)
			}
			s := slots[(n+try)%len(slots)]
			resp, err := s.h.open(t.Context(), proxied, "POST", "/api/jobs", body, "Idempotency-Key", fmt.Sprint("job-", n))
			if err != nil {
				continue
			}
			var job struct {
				ID           string `json:"job_id"`
				Conversation string `json:"conversation_id"`
			}
			err = json.NewDecoder(resp.Body).Decode(&job)
			resp.Body.Close()
			if err == nil && resp.StatusCode == 202 {
				ids[n], homes[n%conversations] = job.ID, job.Conversation
			}
		}
		disturb(n)
	}
	return ids
}
