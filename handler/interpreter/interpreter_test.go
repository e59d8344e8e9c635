package interpreter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/agent"
	"keyless/handler/fault"
	"keyless/handler/interpreter"
	"keyless/handler/sessions"
)

// pool is a session pool whose next answers are given.
type pool struct {
	executions []*sessions.Execution
	err        error
	requests   []sessions.ExecuteRequest
}

func (p *pool) Execute(_ context.Context, _ string, r sessions.ExecuteRequest) (*sessions.Execution, error) {
	p.requests = append(p.requests, r)
	if p.err != nil {
		return nil, p.err
	}
	e := p.executions[0]
	p.executions = p.executions[1:]
	return e, nil
}

func (p *pool) DeleteSession(context.Context, string) error { return p.err }

func call(t *testing.T, p *pool, arguments string, container *string) (agent.Result, error) {
	t.Helper()
	tools := interpreter.Interpreter{Pool: p}.Tools("some-identifier", container)
	return tools[0].Call(t.Context(), arguments, func(agent.Step) {})
}

func TestWhatTheModelReads(t *testing.T) {
	for name, test := range map[string]struct {
		execution sessions.Execution
		want      string
		status    agent.Status
	}{
		"value": {sessions.Execution{Status: sessions.Succeeded, Result: json.RawMessage("42")},
			"status: succeeded\nresult:\n42\n", agent.Succeeded},
		"output": {sessions.Execution{Status: sessions.Succeeded, Stdout: "a\nb\n", Stderr: "careful\n", Result: json.RawMessage(`""`)},
			"status: succeeded\nstdout:\na\nb\nstderr:\ncareful\n", agent.Succeeded},
		"raised": {sessions.Execution{Status: sessions.Failed, Failure: sessions.Raised, Stderr: "ZeroDivisionError: division by zero"},
			"status: failed (raised)\nstderr:\nZeroDivisionError: division by zero\n", agent.Failed},
		"time": {sessions.Execution{Status: sessions.Failed, Failure: sessions.TimedOut, Stdout: "begun\n"},
			"status: failed (timed out)\nstdout:\nbegun\n", agent.Failed},
		"restarted": {sessions.Execution{Status: sessions.Failed, Failure: sessions.KernelRestarted},
			"status: failed (kernel restarted)\n[The interpreter was restarted: all variables are gone; files in /mnt/data are still there.]\n", agent.Failed},
		"cut": {sessions.Execution{Status: sessions.Succeeded, Stdout: "x", Truncated: true},
			"status: succeeded\n[stdout or stderr is cut at 32768 characters]\nstdout:\nx\n", agent.Succeeded},
		"image": {sessions.Execution{Status: sessions.Succeeded, Result: json.RawMessage(`{"type":"image","format":"png","base64_data":"aGVsbG8="}`)},
			"status: succeeded\n[The code showed a png image of 5 bytes.]\n", agent.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			container := ""
			got, err := call(t, &pool{executions: []*sessions.Execution{&test.execution}}, `{"code": "x"}`, &container)
			if err != nil || got.Content != test.want || got.Step.Status != test.status || got.Step.Code != "x" {
				t.Errorf("content %q, step %+v, %v; want %q", got.Content, got.Step, err, test.want)
			}
		})
	}
}

func TestANewContainerIsSaidOnce(t *testing.T) {
	in := func(guid string) *sessions.Execution {
		return &sessions.Execution{Status: sessions.Succeeded, SessionGUID: guid}
	}
	p := &pool{executions: []*sessions.Execution{in("a"), in("a"), in("b"), in("b")}}
	container := ""
	for n, want := range []bool{false, false, true, false} {
		got, err := call(t, p, `{"code": "x"}`, &container)
		if said := strings.Contains(got.Content, "The sandbox is a new one"); err != nil || said != want {
			t.Errorf("run %d: said %v, want %v: %v", n, said, want, err)
		}
	}
	if container != "b" {
		t.Errorf("the container is %q", container)
	}
}

func TestArguments(t *testing.T) {
	for _, arguments := range []string{"", "null", "[]", `"x"`, `{"code": 5}`, `{"code": ""}`, `{"code": " \n"}`, `{}`, `{"code"`} {
		p, container := &pool{}, ""
		_, err := call(t, p, arguments, &container)
		if _, ok := errors.AsType[*agent.ArgumentError](err); !ok || len(p.requests) > 0 {
			t.Errorf("%q: %v, %d requests", arguments, err, len(p.requests))
		}
	}
}

func TestARunLeavesTimeForTheAnswer(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{0: 120 * time.Second, 30 * time.Second: 20 * time.Second, 5 * time.Second: time.Second} {
		p, container := &pool{executions: []*sessions.Execution{{Status: sessions.Succeeded}}}, ""
		ctx := t.Context()
		if left > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, left)
			defer cancel()
		}
		if _, err := (interpreter.Interpreter{Pool: p}).Tools("i", &container)[0].Call(ctx, `{"code": "x"}`, func(agent.Step) {}); err != nil {
			t.Fatal(err)
		}
		if got := p.requests[0].Timeout; got > want || got < want-time.Second {
			t.Errorf("with %v left a run may take %v, want %v", left, got, want)
		}
	}
}

// token gives a token, or an error as the credential would.
type token struct{ err error }

func (c token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, c.err
}

// The real client's errors, as a pool's answers make them.
func TestEachErrorOfThePoolHasItsCode(t *testing.T) {
	for _, test := range []struct {
		status     int
		body, code string
		kind       fault.Kind
	}{
		{401, "", "pool_unauthorized", fault.Denied},
		{403, "", "pool_forbidden", fault.Denied},
		{404, "", "pool_full", fault.Throttled},
		{429, "", "pool_throttled", fault.Throttled},
		{500, "", "pool_unavailable", fault.Unavailable},
		{302, "", "pool_not_found", fault.Misconfigured},
		{200, "<html>", "pool_not_found", fault.Misconfigured},
		{400, `{"error":{"code":"SessionRequestValidationFailed","message":"m","traceId":"t-1"}}`, "pool_refused", fault.Internal},
	} {
		t.Run(fmt.Sprint(test.status, test.code), func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://elsewhere.example")
				if test.status == 429 {
					w.Header().Set("Retry-After", "300")
				}
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			defer server.Close()
			f := fail(t, server.URL, token{})
			if f.Code != test.code || f.Kind != test.kind {
				t.Errorf("%s (%v), want %s (%v): %v", f.Code, f.Kind, test.code, test.kind, f)
			}
			if test.status == 400 && f.UpstreamID != "t-1" || test.status == 429 && f.RetryAfter != 300*time.Second {
				t.Errorf("fault = %+v", f)
			}
		})
	}
	missing := fault.New(fault.Misconfigured, "identity_missing", "none")
	if f := fail(t, "http://127.0.0.1:1", token{missing}); f != missing {
		t.Errorf("the credential's error became %v", f)
	}
}

// fail runs code on the pool at url and returns its error, classified.
func fail(t *testing.T, url string, cred azcore.TokenCredential) *fault.Error {
	t.Helper()
	client, err := sessions.New(url+"/subscriptions/s/resourceGroups/g/sessionPools/p", cred, nil)
	if err != nil {
		t.Fatal(err)
	}
	container := ""
	_, err = interpreter.Interpreter{Pool: client}.Run(t.Context(), "some-identifier", &container, "1", time.Second)
	if err == nil {
		t.Fatal("no error")
	}
	return fault.From(err)
}
