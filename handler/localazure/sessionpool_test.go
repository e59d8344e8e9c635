package localazure_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/localazure"
	"keyless/handler/sessions"
)

func TestSessionPoolKeepsState(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	client := rig.client(t)
	first := run(t, client, "one-1", "count")
	second := run(t, client, "one-1", "count")
	other := run(t, client, "two-2", "count")
	if second.ResultText() != "2" || second.StateLost(first.SessionGUID) {
		t.Errorf("second execution: %s, state lost %v; want 2 and kept", second.ResultText(), second.StateLost(first.SessionGUID))
	}
	if other.ResultText() != "1" || !other.StateLost(first.SessionGUID) {
		t.Errorf("the other session shares state: %+v", other)
	}
	if first.OperationID == "" || first.ID != first.OperationID || first.ID == second.ID {
		t.Errorf("ids %q, %q", first.ID, second.ID)
	}
	if rig.started.Load() != 2 || rig.directories(t) != 2 {
		t.Errorf("%d interpreters, %d directories; want 2", rig.started.Load(), rig.directories(t))
	}
}

func TestSessionPoolDelete(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	client := rig.client(t)
	before := run(t, client, "one-1", "count")
	for range 2 { // the second finds it gone
		if err := client.DeleteSession(t.Context(), "one-1"); err != nil {
			t.Fatal(err)
		}
	}
	if rig.closed.Load() != 1 || rig.directories(t) != 0 {
		t.Errorf("%d interpreters closed, %d directories left; want 1 and 0", rig.closed.Load(), rig.directories(t))
	}
	if _, err := client.GetSession(t.Context(), "one-1"); !errors.Is(err, sessions.ErrSessionGone) {
		t.Errorf("error %v, want ErrSessionGone", err)
	}
	after := run(t, client, "one-1", "count")
	if after.ResultText() != "1" || !after.StateLost(before.SessionGUID) {
		t.Errorf("the new session has the old one's state")
	}
}

func TestSessionPoolDeleteStopsCode(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	client := rig.client(t)
	failed := make(chan error)
	go func() {
		_, err := client.Execute(t.Context(), "one-1", sessions.ExecuteRequest{Code: "block"})
		failed <- err
	}()
	<-rig.blocked
	if err := client.DeleteSession(t.Context(), "one-1"); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, sessions.ErrSessionGone) {
		t.Errorf("error %v, want ErrSessionGone", err)
	}
	if rig.running.Load() != 0 || rig.closed.Load() != 1 {
		t.Error("the code still runs")
	}
}

func TestSessionPoolEndings(t *testing.T) {
	client := newPoolRig(t, localazure.SessionPoolConfig{}).client(t)
	for _, tt := range []struct {
		code    string
		status  sessions.Status
		failure sessions.Failure
		stderr  string
	}{
		{"completed careful", sessions.Succeeded, "", "careful"},
		{"raised Traceback", sessions.Failed, sessions.Raised, "Traceback"},
		{"interrupted KeyboardInterrupt", sessions.Failed, sessions.TimedOut, "Request timed out waiting for code execution to complete after 220 seconds\nKeyboardInterrupt"},
		{"killed ", sessions.Failed, sessions.KernelRestarted, "Kernel restarted\n"},
		{"crashed ", sessions.Failed, sessions.KernelRestarted, "Kernel restarted\n"},
	} {
		e := run(t, client, "one-1", tt.code)
		if e.Status != tt.status || e.Failure != tt.failure || e.Stderr != tt.stderr || e.Stdout != "before" {
			t.Errorf("%s: %s, %q, %q", tt.code, e.Status, e.Failure, e.Stderr)
		}
		if lost := tt.failure == sessions.KernelRestarted; e.StateLost(e.SessionGUID) != lost {
			t.Errorf("%s: state lost %v, want %v", tt.code, !lost, lost)
		}
	}
}

func TestSessionPoolValues(t *testing.T) {
	client := newPoolRig(t, localazure.SessionPoolConfig{}).client(t)
	for repr, want := range map[string]string{
		"4": "4", "-1.5": "-1.5", "None": "null", "nan": `"nan"`, "True": `"True"`,
		"'nan'": `"'nan'"`, `"it's"`: `"it's"`, "''": `"''"`,
		"[1,2]": "[1,2]", "{'a': 1}": `"{'a': 1}"`, "1000000000000000000000": "1000000000000000000000",
	} {
		if got := string(run(t, client, "one-1", "value "+repr).Result); got != want {
			t.Errorf("value %s is sent as %s, want %s", repr, got, want)
		}
	}
	if got := string(run(t, client, "one-1", "completed").Result); got != `""` {
		t.Errorf("no value is sent as %s", got)
	}
}

func TestSessionPoolTruncates(t *testing.T) {
	client := newPoolRig(t, localazure.SessionPoolConfig{}).client(t)
	for asked, want := range map[int]int{0: 4096, 10: 10, 5000: 5000, 6000: 5000} {
		e, err := client.Execute(t.Context(), "one-1", sessions.ExecuteRequest{Code: "print", MaxStreamChars: asked})
		if err != nil {
			t.Fatal(err)
		}
		if e.Stdout != strings.Repeat("ü", want) || e.Truncated != (asked < 6000) {
			t.Errorf("asked for %d: %d bytes, truncated %v; want %d characters", asked, len(e.Stdout), e.Truncated, want)
		}
	}
}

func TestSessionPoolTimeLimit(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	for body, want := range map[string]string{
		``: "220", `,"timeoutInSeconds":5`: "5", `,"timeoutInSeconds":9000000000`: "220",
	} {
		_, answer := rig.post(t, `{"codeInputType":"Inline","executionType":"Synchronous","code":"limit"`+body+`}`)
		if !strings.Contains(answer, `"executionResult":`+want) {
			t.Errorf("%s: answer %s, want a limit of %s", body, answer, want)
		}
	}
}

func TestSessionPoolRunsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{})
		client := rig.inProcess(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = client.Execute(ctx, "one-1", sessions.ExecuteRequest{Code: "block"}) }()
		synctest.Wait()
		for range 3 {
			go func() { _, _ = client.Execute(t.Context(), "one-1", sessions.ExecuteRequest{Code: "count"}) }()
		}
		synctest.Wait()
		if got := rig.runs.Load(); got != 1 {
			t.Errorf("%d executions began beside one that runs", got-1)
		}
		run(t, client, "two-2", "count") // another session does not wait
		cancel()
		synctest.Wait()
		if got := run(t, client, "one-1", "count").ResultText(); got != "4" || rig.started.Load() != 2 {
			t.Errorf("result %s of %d interpreters, want 4 of 2", got, rig.started.Load())
		}
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSessionPoolFull(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{MaxSessions: 2})
	client := rig.client(t)
	run(t, client, "one-1", "count")
	run(t, client, "two-2", "count")
	_, err := client.Execute(t.Context(), "three-3", sessions.ExecuteRequest{Code: "count"})
	if !errors.Is(err, sessions.ErrPoolFull) {
		t.Errorf("error %v, want ErrPoolFull", err)
	}
	run(t, client, "one-1", "count") // those that are there go on
	if err := client.DeleteSession(t.Context(), "two-2"); err != nil {
		t.Fatal(err)
	}
	run(t, client, "three-3", "count")
}

func TestSessionPoolCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{Cooldown: 300 * time.Second})
		client := rig.inProcess(t)
		first := run(t, client, "one-1", "count")
		pass(t, 299*time.Second)
		second := run(t, client, "one-1", "count") // starts the cooldown anew
		pass(t, 299*time.Second)
		session, err := client.GetSession(t.Context(), "one-1") // and so does this
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(session.ExpiresAt); left != 300*time.Second || session.ETag != first.SessionGUID {
			t.Errorf("session %+v expires in %v", session, left)
		}
		pass(t, 299*time.Second)
		if second.ResultText() != "2" || rig.closed.Load() != 0 {
			t.Errorf("the session was lost early: %s", second.ResultText())
		}
		pass(t, 2*time.Second)
		if rig.closed.Load() != 1 || rig.directories(t) != 0 {
			t.Errorf("the idle session was not freed")
		}
		third := run(t, client, "one-1", "count")
		if third.ResultText() != "1" || !third.StateLost(second.SessionGUID) {
			t.Errorf("the expired session is still there: %s", third.ResultText())
		}
		if err := rig.Close(); err != nil || rig.closed.Load() != 2 {
			t.Errorf("Close: %v, %d interpreters closed", err, rig.closed.Load())
		}
	})
}

// pass lets d go by on the fake clock.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

func TestSessionPoolRunOutlastsCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newPoolRig(t, localazure.SessionPoolConfig{Cooldown: time.Second})
		client := rig.inProcess(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := client.Execute(ctx, "one-1", sessions.ExecuteRequest{Code: "block"})
		if !errors.Is(err, context.DeadlineExceeded) || rig.closed.Load() != 0 {
			t.Errorf("error %v, want DeadlineExceeded and a session that lives", err)
		}
		pass(t, 2*time.Second)
		if rig.closed.Load() != 1 {
			t.Error("the session does not end after its cooldown")
		}
	})
}

// TestSessionPoolCallerGoes shows that code stops when its caller goes, that
// one who waits for a turn can go too, and that the session lives on.
func TestSessionPoolCallerGoes(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	client := rig.client(t)
	run(t, client, "one-1", "count")
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	for range 2 {
		go func() {
			_, err := client.Execute(ctx, "one-1", sessions.ExecuteRequest{Code: "block"})
			errs <- err
		}()
	}
	<-rig.blocked
	cancel()
	for range 2 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want Canceled", err)
		}
	}
	if got := run(t, client, "one-1", "count").ResultText(); got != "2" {
		t.Errorf("result %s, want 2", got)
	}
}

func TestSessionPoolBrokenPython(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	client := rig.client(t)
	_, err := client.Execute(t.Context(), "one-1", sessions.ExecuteRequest{Code: "break"})
	e, ok := errors.AsType[*sessions.Error](err)
	if !ok || e.StatusCode != 500 || e.Message != "no interpreter" {
		t.Errorf("error %v, want 500 with the reason", err)
	}
	if rig.runs.Load() != 1 {
		t.Errorf("the code ran %d times", rig.runs.Load())
	}
}
