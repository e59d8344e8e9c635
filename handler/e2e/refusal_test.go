package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"keyless/handler/localazure"
)

func TestBadInput(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	message := func(s string) string {
		body, _ := json.Marshal(map[string]string{"message": s})
		return string(body)
	}
	const id = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		"empty body":             {"POST", "/api/chat", "", []string{"Content-Type", "application/json"}, 400, "body_empty"},
		"not JSON":               {"POST", "/api/chat", "hello", nil, 400, "body_not_json"},
		"cut JSON":               {"POST", "/api/chat", `{"message": "a`, nil, 400, "body_not_json"},
		"an array":               {"POST", "/api/chat", `["a"]`, nil, 400, "body_not_json"},
		"two objects":            {"POST", "/api/chat", `{"message":"a"}{"message":"b"}`, nil, 400, "body_not_json"},
		"message of wrong type":  {"POST", "/api/chat", `{"message": 5}`, nil, 400, "field_type"},
		"stream of wrong type":   {"POST", "/api/chat", `{"message": "a", "stream": "yes"}`, nil, 400, "field_type"},
		"unknown field":          {"POST", "/api/chat", `{"message": "a", "massage": "b"}`, nil, 400, "field_unknown"},
		"no message":             {"POST", "/api/chat", `{}`, nil, 400, "message_empty"},
		"blank message":          {"POST", "/api/chat", `{"message": " \n\t"}`, nil, 400, "message_empty"},
		"32,001 characters":      {"POST", "/api/chat", message(strings.Repeat("é", 32_001)), nil, 413, "message_too_long"},
		"body over 1 MiB":        {"POST", "/api/chat", message(strings.Repeat("x", 1<<20)), nil, 413, "body_too_large"},
		"no content type":        {"POST", "/api/chat", `{"message": "a"}`, []string{"Content-Type", ""}, 415, "content_type_unsupported"},
		"a form's content type":  {"POST", "/api/chat", `{"message": "a"}`, []string{"Content-Type", "text/plain"}, 415, "content_type_unsupported"},
		"PUT":                    {"PUT", "/api/chat", `{"message": "a"}`, nil, 405, "method_not_allowed"},
		"POST to a conversation": {"POST", "/api/conversations/" + id, `{}`, nil, 405, "method_not_allowed"},
		"unknown conversation":   {"POST", "/api/chat", `{"message": "a", "conversation_id": "` + id + `"}`, nil, 404, "conversation_not_found"},
		"a path for an id":       {"POST", "/api/chat", `{"message": "a", "conversation_id": "../../etc/passwd"}`, nil, 404, "conversation_not_found"},
		"read an unknown one":    {"GET", "/api/conversations/" + id, "", nil, 404, "conversation_not_found"},
		"a wrong limit":          {"GET", "/api/conversations/" + id + "?limit=0", "", nil, 400, "parameter_invalid"},
		"a wrong before":         {"GET", "/api/conversations/" + id + "?before=x", "", nil, 400, "parameter_invalid"},
	} {
		for _, m := range []mode{proxied, forwarded} {
			t.Run(name+", "+m.name, func(t *testing.T) {
				got := h.send(t, m, test.method, test.path, test.body, test.headers...)
				if got.status != test.status || got.text("code") != test.code {
					t.Fatalf("answer %d %s, want %d %s", got.status, got.body, test.status, test.code)
				}
				if got.header.Get("Content-Type") != "application/problem+json" || got.text("detail") == "" ||
					got.text("invocation_id") != m.headers["X-Azure-Functions-Invocationid"] || got.field("status") != float64(test.status) {
					t.Errorf("the problem lacks something: %v %s", got.header, got.body)
				}
				if test.status == 405 && got.header.Get("Allow") == "" {
					t.Error("405 without Allow")
				}
			})
		}
	}
	if n := h.stored(t); n != 0 {
		t.Errorf("bad input stored %d records", n)
	}
	if calls := az.take(); len(calls) > 2 {
		t.Errorf("bad input went as far as %q", calls)
	}
}

func TestAnotherOwnersConversationIsNotThere(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	env := maps.Clone(az.env)
	env["WEBSITE_AUTH_ENABLED"] = "True"
	h := startHandler(t, env)
	as := func(id string) []string {
		return []string{"X-Ms-Client-Principal-Id", id, "X-Ms-Client-Principal-Idp", "aad"}
	}
	mine := h.send(t, proxied, "POST", "/api/chat", `{"message": "hello"}`, as("me")...)
	id := mine.text("conversation_id")
	if mine.status != 200 {
		t.Fatalf("answer %d %s", mine.status, mine.body)
	}
	for _, try := range []struct{ method, path, body string }{
		{"POST", "/api/chat", `{"message": "x", "conversation_id": "` + id + `"}`},
		{"GET", "/api/conversations/" + id, ""},
		{"DELETE", "/api/conversations/" + id, ""},
	} {
		if got := h.send(t, proxied, try.method, try.path, try.body, as("you")...); got.status != 404 || got.text("code") != "conversation_not_found" {
			t.Errorf("a stranger's %s = %d %s", try.method, got.status, got.body)
		}
		if got := h.send(t, proxied, try.method, try.path, try.body); got.status != 401 || got.text("code") != "not_signed_in" {
			t.Errorf("nobody's %s = %d %s", try.method, got.status, got.body)
		}
	}
	if got := h.send(t, proxied, "GET", "/api/conversations/"+id, "", as("me")...); got.status != 200 {
		t.Errorf("the owner's GET = %d %s", got.status, got.body)
	}
}

func TestAPrincipalIsNotBelievedWithoutAppServiceAuthentication(t *testing.T) {
	h := startHandler(t, newAzure(t, localazure.PlannerFunc(runs)).env)
	id := h.send(t, proxied, "POST", "/api/chat", `{"message": "hello"}`, "X-Ms-Client-Principal-Id", "me").text("conversation_id")
	if got := h.send(t, proxied, "GET", "/api/conversations/"+id, "", "X-Ms-Client-Principal-Id", "you"); got.status != 200 {
		t.Errorf("a header that anybody can send made a difference: %d %s", got.status, got.body)
	}
}

func TestWhatGoesWrongUpstream(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	for _, test := range []struct {
		name   string
		faults *localazure.Faults
		fault  localazure.Fault
		status int
		code   string
		says   string
	}{
		{"model 401", &az.openai.Faults, localazure.Fault{Status: 401}, 502, "model_unauthorized", ""},
		{"model 403", &az.openai.Faults, localazure.Fault{Status: 403}, 502, "model_forbidden", "Cognitive Services OpenAI User"},
		{"model 404", &az.openai.Faults, localazure.Fault{Status: 404}, 502, "model_not_found", "deployment"},
		{"model 429", &az.openai.Faults, localazure.Fault{Status: 429, RetryAfter: 77 * time.Second}, 429, "model_throttled", ""},
		{"model 500", &az.openai.Faults, localazure.Fault{Status: 500}, 503, "model_unavailable", ""},
		{"model cut", &az.openai.Faults, localazure.Fault{CutAfter: -1}, 503, "", ""},
		{"pool 401", &az.pool.Faults, localazure.Fault{Status: 401}, 502, "pool_unauthorized", "Azure ContainerApps Session Executor"},
		{"pool 403", &az.pool.Faults, localazure.Fault{Status: 403}, 502, "pool_forbidden", "Azure ContainerApps Session Executor"},
		{"pool 404", &az.pool.Faults, localazure.Fault{Status: 404}, 429, "pool_full", "AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT"},
		{"pool 429", &az.pool.Faults, localazure.Fault{Status: 429, RetryAfter: 300 * time.Second}, 429, "pool_throttled", ""},
		{"pool 500", &az.pool.Faults, localazure.Fault{Status: 500}, 503, "pool_unavailable", ""},
		{"pool not JSON", &az.pool.Faults, localazure.Fault{Status: 200, Body: "<html>"}, 502, "pool_not_found", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.faults.Set(test.fault)
			defer test.faults.Clear()
			got := h.chat(t, "run 1 + 1", "")
			if got.status != test.status || test.code != "" && got.text("code") != test.code || !strings.Contains(got.text("detail"), test.says) {
				t.Errorf("answer %d %s, want %d %s %q", got.status, got.body, test.status, test.code, test.says)
			}
			if want := test.fault.RetryAfter / time.Second; want > 0 && got.header.Get("Retry-After") != fmt.Sprint(int(want)) {
				t.Errorf("Retry-After = %q, want %d", got.header.Get("Retry-After"), want)
			}
			if test.faults == &az.pool.Faults && got.field("turn") == nil {
				t.Errorf("what was done before is not in the problem: %s", got.body)
			}
			test.faults.Clear()
			streamed := h.send(t, proxied, "POST", "/api/chat", `{"message": "hello", "stream": true}`)
			if all := events(t, streamed.body); all[len(all)-1].name != "done" {
				t.Errorf("the next turn ends with %+v", all[len(all)-1])
			}
		})
	}
}

func TestAStreamThatFailsSaysSo(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	az.openai.Faults.Set(localazure.Fault{Status: 403})
	got := h.send(t, proxied, "POST", "/api/chat", `{"message": "hello", "stream": true}`)
	all := events(t, got.body)
	last := all[len(all)-1]
	if last.name != "error" || last.data["code"] != "model_forbidden" || last.data["detail"] == "" {
		t.Errorf("the last event is %+v", last)
	}
}

func TestRefusedContent(t *testing.T) {
	h := startHandler(t, newAzure(t, localazure.Script(localazure.Plan{Refused: true})).env)
	if got := h.chat(t, "something vile", ""); got.status != 422 || got.text("code") != "content_filtered" {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

func TestNoManagedIdentityIsSaidInTime(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	env := maps.Clone(az.env)
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, "IDENTITY_") })
	env["WEBSITE_SITE_NAME"] = "my-agent"
	h := startHandler(t, env)
	start := time.Now()
	got := h.chat(t, "hello", "")
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if got.status != 502 || got.text("code") != "identity_missing" || !strings.Contains(got.text("detail"), "my-agent") {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

func TestLimitsAreNoErrors(t *testing.T) {
	az := newAzure(t, localazure.Script(
		localazure.Plan{Calls: []localazure.ToolCall{{Name: "run_python", Arguments: `{"code": "1"}`}}},
		localazure.Plan{Calls: []localazure.ToolCall{{Name: "run_python", Arguments: `{"code": "2"}`}}},
		localazure.Plan{Calls: []localazure.ToolCall{{Name: "run_python", Arguments: `{"code": "3"}`}}}))
	env := maps.Clone(az.env)
	env["AGENT_MAX_STEPS"] = "2"
	h := startHandler(t, env)
	got := h.chat(t, "go on for ever", "")
	if got.status != 200 || got.text("status") != "incomplete" || got.text("limit") != "steps" || len(got.field("steps").([]any)) != 2 {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

func TestATurnsTimeIsUp(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	env := maps.Clone(az.env)
	env["AGENT_TURN_SECONDS"] = "5"
	h := startHandler(t, env)
	got := h.chat(t, "run import time\nprint('begun', flush=True)\ntime.sleep(60)", "")
	if got.status != 200 || len(got.field("steps").([]any)) != 1 {
		t.Fatalf("answer %d %s", got.status, got.body)
	}
}

func TestStrangeToolCalls(t *testing.T) {
	az := newAzure(t, localazure.Script(
		localazure.Plan{Calls: []localazure.ToolCall{
			{Name: "run_python", Arguments: `{"code": 5}`}, {Name: "run_python", Arguments: `{"code"`},
			{Name: "delete_everything", Arguments: `{}`}, {Name: "run_python", Arguments: `{"code": "'fine'"}`}}},
		localazure.Plan{Text: "So be it."}))
	h := startHandler(t, az.env)
	got := h.chat(t, "do odd things", "")
	var reply struct{ Steps []struct{ Status string } }
	if err := json.Unmarshal(got.body, &reply); err != nil || got.status != 200 {
		t.Fatalf("answer %d %s", got.status, got.body)
	}
	var statuses []string
	for _, step := range reply.Steps {
		statuses = append(statuses, step.Status)
	}
	if got := strings.Join(statuses, " "); got != "rejected rejected rejected succeeded" {
		t.Errorf("statuses = %s", got)
	}
}
