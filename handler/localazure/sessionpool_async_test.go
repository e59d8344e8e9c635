package localazure_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/localazure"
	"keyless/handler/localazure/python"
)

const newest = "2025-10-02-preview"

// submit starts an asynchronous execution and returns its id.
func (p *poolRig) submit(t *testing.T, code string) string {
	t.Helper()
	response, answer := p.call(t, newest, "POST", "/executions", fmt.Sprintf(`{"codeInputType":"Inline","executionType":"Asynchronous","code":%q}`, code))
	var got struct{ ID, Status, ExecutionType string }
	if err := json.Unmarshal([]byte(answer), &got); err != nil || response.StatusCode != http.StatusOK || got.ExecutionType != "Asynchronous" {
		t.Fatalf("%d %s", response.StatusCode, answer)
	}
	if got.Status != "NotStarted" {
		t.Errorf("status %s of one just submitted", got.Status)
	}
	if location := response.Header.Get("Operation-Location"); !strings.HasPrefix(location, "/executions/"+got.ID+"?api-version=") || response.Header.Get("operation-id") != got.ID {
		t.Errorf("headers %v", response.Header)
	}
	return got.ID
}

// poll returns what GET /executions/{id} answers.
func (p *poolRig) poll(t *testing.T, id string) string {
	t.Helper()
	_, answer := p.call(t, newest, "GET", "/executions/"+id, "")
	return answer
}

func TestSessionPoolAsynchronous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{})
		first, second := rig.submit(t, "block"), ""
		synctest.Wait()
		second = rig.submit(t, "count")
		synctest.Wait()
		mustHold(t, rig.poll(t, first), `{"status":"Running","result":null}`)
		mustHold(t, rig.poll(t, second), `{"status":"NotStarted","result":null}`)
		rig.endings <- python.Completed
		synctest.Wait()
		mustHold(t, rig.poll(t, first), `{"status":"Succeeded","executionType":"Asynchronous","result":{"stdout":"","executionResult":""}}`)
		mustHold(t, rig.poll(t, second), `{"status":"Succeeded","result":{"executionResult":1}}`)
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionPoolAsynchronousOrder shows that executions run in the order in
// which they came.
func TestSessionPoolAsynchronousOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{})
		ids := make([]string, 15)
		for i := range ids {
			ids[i] = rig.submit(t, "count")
		}
		synctest.Wait()
		for i, id := range ids {
			mustHold(t, rig.poll(t, id), fmt.Sprintf(`{"result":{"executionResult":%d}}`, i+1))
		}
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSessionPoolAsynchronousFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{})
		raised, broken := rig.submit(t, "raised Traceback"), rig.submit(t, "break")
		synctest.Wait()
		mustHold(t, rig.poll(t, raised), `{"status":"Failed","result":{"stderr":"Traceback"},"error":null}`)
		mustHold(t, rig.poll(t, broken), `{"status":"Failed","error":{"error":{"message":"no interpreter"}},"result":null}`)
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionPoolAsynchronousOutlivesCaller shows that an execution holds its
// session, however long it takes, and that deleting the session ends it.
func TestSessionPoolAsynchronousOutlivesCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{Cooldown: time.Second})
		rig.submit(t, "block")
		pass(t, time.Minute)
		if rig.running.Load() != 1 || rig.closed.Load() != 0 {
			t.Error("the execution did not outlive the cooldown")
		}
		if response, answer := rig.call(t, newest, "DELETE", "/session", ""); response.StatusCode != http.StatusNoContent {
			t.Errorf("%d %s", response.StatusCode, answer)
		}
		if rig.running.Load() != 0 || rig.closed.Load() != 1 || rig.directories(t) != 0 {
			t.Error("the execution outlived its session")
		}
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionPoolAbortsQueue shows what becomes of executions that wait behind
// one that times out, and that later ones run.
func TestSessionPoolAbortsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{})
		slow := rig.submit(t, "block")
		synctest.Wait()
		behind := rig.submit(t, "count")
		synctest.Wait()
		rig.endings <- python.Interrupted
		synctest.Wait()
		mustHold(t, rig.poll(t, slow), `{"status":"Failed","result":{"stderr":"Request timed out waiting for code execution to complete after 220 seconds\n"}}`)
		mustHold(t, rig.poll(t, behind), `{"status":"Failed","result":{"stderr":"Execution aborted"}}`)
		later := rig.submit(t, "count")
		synctest.Wait()
		mustHold(t, rig.poll(t, later), `{"status":"Succeeded","result":{"executionResult":1}}`)
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionPoolKeepsExecutions shows how many that have ended can be got,
// and that those that have not are never forgotten.
func TestSessionPoolKeepsExecutions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{})
		gone, kept := rig.submit(t, "count"), ""
		synctest.Wait()
		for range 16 {
			kept = rig.submit(t, "count")
			synctest.Wait()
		}
		blocked := rig.submit(t, "block")
		synctest.Wait()
		for i := range 64 {
			response, _ := rig.call(t, newest, "POST", "/executions", strings.Replace(flatBody, "Synchronous", "Asynchronous", 1))
			if want := map[bool]int{true: 200, false: 429}[i < 63]; response.StatusCode != want {
				t.Fatalf("submission %d beside one: %d, want %d", i+1, response.StatusCode, want)
			}
		}
		if answer := rig.poll(t, gone); !strings.HasPrefix(answer, `"No execution available`) {
			t.Errorf("answer %s", answer)
		}
		mustHold(t, rig.poll(t, kept), `{"status":"Succeeded"}`)
		mustHold(t, rig.poll(t, blocked), `{"status":"Running"}`)
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSessionPoolOperationID(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	for sent, taken := range map[string]bool{"8963ad02-1d0b-43ef-9863-0cefd18d5fb4": true, "a/b": false, "": false} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://local.example"+poolPath+"/executions?identifier=one-1&api-version="+newest, strings.NewReader(flatBody))
		if err != nil {
			t.Fatal(err)
		}
		token, err := rig.issuer.Mint(sessionAudience, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("operation-id", sent)
		response, err := rig.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Get("operation-id"); got == "" || (got == sent) != taken {
			t.Errorf("operation-id %q of %q, taken: want %v", got, sent, taken)
		}
	}
}
