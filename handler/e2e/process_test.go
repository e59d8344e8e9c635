package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyless/handler/localazure"
)

func TestAllSettingsThatAreWrongAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		says []string
	}{
		"none": {nil, []string{"AZURE_OPENAI_ENDPOINT is not set", "AZURE_OPENAI_DEPLOYMENT is not set",
			"AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT is not set", "AGENT_STORAGE_BLOB_ENDPOINT is not set"}},
		"wrong": {map[string]string{"AZURE_OPENAI_ENDPOINT": "http://example.com", "AZURE_OPENAI_DEPLOYMENT": "d",
			"AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT": "pool", "AGENT_MAX_STEPS": "many", "AGENT_LOG_LEVEL": "loud"},
			[]string{"AZURE_OPENAI_ENDPOINT must begin with https://", "AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT is not a URL",
				"AGENT_MAX_STEPS must be a whole number from 1 to 100", "AGENT_LOG_LEVEL must be"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"AGENT_STORAGE_DIR": ""}
			maps.Copy(env, test.env)
			h := launch(t, deployedBinary, env)
			<-h.stopped
			if code := h.cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d, want 1: the host does not start a handler again that exits with 0", code)
			}
			for _, want := range test.says {
				if !strings.Contains(h.stderr.String(), want) {
					t.Errorf("stderr lacks %q:\n%s", want, h.stderr)
				}
			}
		})
	}
}

func TestNoPort(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	env := maps.Clone(az.env)
	env["FUNCTIONS_CUSTOMHANDLER_PORT"] = ""
	h := launch(t, deployedBinary, env)
	<-h.stopped
	if h.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(h.stderr.String(), "FUNCTIONS_CUSTOMHANDLER_PORT") {
		t.Errorf("exit code %d, stderr %s", h.cmd.ProcessState.ExitCode(), h.stderr)
	}
}

func TestASignalStopsItAndTheExitCodeIsNotZero(t *testing.T) {
	h := startHandler(t, newAzure(t, localazure.PlannerFunc(runs)).env)
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-h.stopped
	if code := h.cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d", code)
	}
}

// blocking is a planner that waits until it is released.
func blocking(entered chan<- struct{}, release <-chan struct{}) localazure.Planner {
	return localazure.PlannerFunc(func(ctx context.Context, tr localazure.Transcript) (localazure.Plan, error) {
		if tr.Entries[len(tr.Entries)-1].User == "wait" {
			entered <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return runs(ctx, tr)
	})
}

func TestABusyConversation(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	az := newAzure(t, blocking(entered, release))
	one := startHandler(t, az.env)
	env := maps.Clone(az.env)
	env["AGENT_STORAGE_DIR"] = one.dir
	two := startHandler(t, env) // another instance
	id := one.chat(t, "hello", "").text("conversation_id")

	first := make(chan answer, 1)
	go func() { first <- one.chat(t, "wait", id) }()
	<-entered
	for _, h := range []*handler{one, two} {
		if got := h.chat(t, "me too", id); got.status != 409 || got.text("code") != "conversation_busy" {
			t.Errorf("a second turn = %d %s", got.status, got.body)
		}
		if got := h.send(t, proxied, "DELETE", "/api/conversations/"+id, ""); got.status != 409 {
			t.Errorf("DELETE during a turn = %d %s", got.status, got.body)
		}
		if got := h.send(t, proxied, "GET", "/api/conversations/"+id, ""); got.status != 200 {
			t.Errorf("GET during a turn = %d %s", got.status, got.body)
		}
	}
	close(release)
	if got := <-first; got.status != 200 {
		t.Errorf("the first turn = %d %s", got.status, got.body)
	}
	if got := two.chat(t, "now me", id); got.status != 200 {
		t.Errorf("a turn after it = %d %s", got.status, got.body)
	}
}

func TestACallerThatGoesAwayStopsEverything(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	id := h.chat(t, "run x = 1", "").text("conversation_id") // the sandbox is up
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, _ := json.Marshal(map[string]any{"stream": true, "message": "run import time\ntime.sleep(100)", "conversation_id": id})
	resp, err := h.open(ctx, proxied, "POST", "/api/chat", string(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for scanner := bufio.NewScanner(resp.Body); scanner.Scan() && scanner.Text() != "event: code"; {
	}
	cancel()
	// The conversation is free again, and the sandbox too, once all has stopped.
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := h.chat(t, "run x", id)
		if got.status == 200 {
			break
		}
		if got.status != 409 {
			t.Fatalf("answer %d %s", got.status, got.body)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the conversation is still busy")
		}
	}
	history := h.send(t, proxied, "GET", "/api/conversations/"+id, "")
	if !strings.Contains(string(history.body), `"status":"canceled"`) {
		t.Errorf("the canceled turn is not in the history: %s", history.body)
	}
}

func TestKilledInTheMiddleOfATurn(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	az := newAzure(t, blocking(entered, release))
	h := startHandler(t, az.env)
	id := h.chat(t, "hello", "").text("conversation_id")
	go func() {
		if resp, err := h.open(context.Background(), proxied, "POST", "/api/chat", `{"message": "wait", "conversation_id": "`+id+`"}`); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	h.kill()
	env := maps.Clone(az.env)
	env["AGENT_STORAGE_DIR"] = h.dir
	h = startHandler(t, env)
	if got := h.chat(t, "are you there?", id); got.status != 200 || got.field("turn") != 2.0 {
		t.Errorf("after SIGKILL: %d %s", got.status, got.body)
	}
}

func TestTheLogHoldsNothingPrivate(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	id := h.chat(t, "run print('pri' + 'vate-output')  # private-code", "").text("conversation_id")
	h.send(t, proxied, "POST", "/api/chat?code=s3cr3t-code", `{"message": "private-prompt"}`, "Authorization", "Bearer s3cr3t-token")
	h.send(t, proxied, "POST", "/api/chat", `{"message": 1}`)
	az.openai.Faults.Set(localazure.Fault{Status: 403})
	h.chat(t, "private-prompt", id)
	all := h.logged(t, 4)
	for _, secret := range []string{"private", "s3cr3t", "Bearer", "eyJ", az.tokens.Secret} {
		if strings.Contains(all, secret) {
			t.Errorf("the log holds %q:\n%s", secret, all)
		}
	}
	for line := range strings.Lines(all) {
		var record struct {
			Msg          string
			InvocationID string `json:"invocation_id"`
			Traceparent  string
			Function     string
			Status       int
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("not a JSON line: %s", line)
		}
		if record.Msg == "request" {
			if record.InvocationID != proxied.headers["X-Azure-Functions-Invocationid"] || record.Traceparent == "" || record.Function != "chat" || record.Status == 0 {
				t.Errorf("record = %s", line)
			}
		}
	}
	if !strings.Contains(h.stderr.String(), `"code":"model_forbidden"`) {
		t.Errorf("a failure of the platform is not on stderr:\n%s", h.stderr)
	}
}

// logged returns what the handler wrote once it holds the records of n
// requests, each of which is written after its answer.
func (h *handler) logged(t *testing.T, n int) string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		all := h.stdout.String() + h.stderr.String()
		if got := strings.Count(all, `"msg":"request"`); got == n {
			return all
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("want the records of %d requests:\n%s", n, all)
		}
	}
}

func TestLocalRun(t *testing.T) {
	// Without a host's port, as make run starts it; the cache of compiled
	// Python is the machine's.
	port := freePort(t)
	h := launch(t, localBinary, map[string]string{"FUNCTIONS_CUSTOMHANDLER_PORT": "", "PORT": port, "XDG_CACHE_HOME": userCache(t)})
	h.base = "http://127.0.0.1:" + port
	h.waitReady(t)
	first := h.send(t, mode{}, "POST", "/api/chat", `{"message": "What is 23 * 19?"}`)
	if first.status != 200 || !strings.Contains(first.text("reply"), "437") || !strings.Contains(first.text("reply"), "demo model") {
		t.Errorf("answer %d %s", first.status, first.body)
	}
	for header, value := range map[string]string{"Host": "evil.example", "X-Forwarded-Host": "evil.example:7071"} {
		req, err := http.NewRequest("POST", h.base+"/api/chat", strings.NewReader(`{"message": "hello"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(header, value)
		if header == "Host" {
			req.Host = value
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 {
			t.Errorf("with %s: %s the answer was %d", header, value, resp.StatusCode)
		}
	}
	for _, want := range []string{"model         stood in", "session pool  stood in", "conversations kept in", "identity      stood in", "curl -s http://127.0.0.1:" + port} {
		if !strings.Contains(h.stdout.String(), want) {
			t.Errorf("stdout lacks %q:\n%s", want, h.stdout)
		}
	}
	if err := h.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-h.stopped
	if code := h.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("Ctrl-C made it exit with %d", code)
	}
}

func TestLocalRunUnderTheHost(t *testing.T) {
	h := launch(t, localBinary, map[string]string{"XDG_CACHE_HOME": userCache(t)})
	h.waitReady(t)
	if got := h.chat(t, "What is 2^10?", ""); got.status != 200 || !strings.Contains(got.text("reply"), "1024") {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}
