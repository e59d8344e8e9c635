package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"keyless/handler/localazure"
)

// event is a server-sent event.
type event struct {
	name string
	data map[string]any
}

func events(t *testing.T, body []byte) []event {
	t.Helper()
	var all []event
	scanner := bufio.NewScanner(bytes.NewReader(body))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if name, ok := strings.CutPrefix(scanner.Text(), "event: "); ok {
			all = append(all, event{name: name})
		}
		if data, ok := strings.CutPrefix(scanner.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(data), &all[len(all)-1].data); err != nil {
				t.Fatalf("event data %q: %v", data, err)
			}
		}
	}
	return all
}

func TestTurnRunsPython(t *testing.T) {
	for _, m := range []mode{proxied, forwarded} {
		t.Run(m.name, func(t *testing.T) {
			az := newAzure(t, localazure.PlannerFunc(runs))
			h := startHandler(t, az.env)
			got := h.send(t, m, "POST", "/api/chat", `{"message": "run print('hello')\n6 * 7"}`)
			if got.status != 200 || got.header.Get("Content-Type") != "application/json" {
				t.Fatalf("answer %d %s: %s", got.status, got.header, got.body)
			}
			var reply struct {
				ConversationID, Reply, Status string
				Steps                         []struct{ Tool, Code, Status, Stdout, Result string }
				Usage                         struct{ InputTokens, OutputTokens int }
			}
			if err := json.Unmarshal(snakeless(got.body), &reply); err != nil {
				t.Fatal(err)
			}
			if len(reply.Steps) != 1 || reply.Steps[0].Stdout != "hello\n" || reply.Steps[0].Result != "42" || reply.Steps[0].Status != "succeeded" {
				t.Errorf("steps = %+v", reply.Steps)
			}
			if !strings.Contains(reply.Reply, "42") || reply.Status != "completed" || reply.Usage.InputTokens == 0 {
				t.Errorf("reply = %+v", reply)
			}
		})
	}
}

// snakeless drops the underlines of JSON names, so that plain Go names match.
func snakeless(body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	out, _ := json.Marshal(renamed(v))
	return out
}

func renamed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			out[strings.ReplaceAll(name, "_", "")] = renamed(value)
		}
		return out
	case []any:
		for i := range v {
			v[i] = renamed(v[i])
		}
	}
	return v
}

func TestEachServiceGetsATokenForItsOwnAudience(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	h.chat(t, "run 1 + 1", "")
	calls := az.take()
	slices.Sort(calls[:2]) // the two tokens are fetched side by side, as the process starts
	want := []string{
		"GET / https://cognitiveservices.azure.com",
		"GET / https://dynamicsessions.io",
		"POST /openai/v1/responses https://cognitiveservices.azure.com",
		"POST pool/executions https://dynamicsessions.io",
		"POST /openai/v1/responses https://cognitiveservices.azure.com",
	}
	for i := range calls { // the identity endpoint's path is its own business
		if strings.HasPrefix(calls[i], "GET /") {
			calls[i] = "GET / " + calls[i][strings.LastIndex(calls[i], " ")+1:]
		}
	}
	if !slices.Equal(calls, want) {
		t.Errorf("calls:\n%s\nwant:\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
	}
	h.chat(t, "run 2 + 2", "")
	for _, call := range az.take() {
		if strings.HasPrefix(call, "GET ") {
			t.Errorf("a second turn fetched a token: %s", call)
		}
	}
}

func TestStream(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	for _, ask := range []struct{ body, accept string }{
		{`{"message": "run 6 * 7", "stream": true}`, "*/*"},
		{`{"message": "run 6 * 7"}`, "text/event-stream"},
	} {
		got := h.send(t, proxied, "POST", "/api/chat", ask.body, "Accept", ask.accept)
		if got.status != 200 || got.header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("answer %d %v", got.status, got.header)
		}
		all := events(t, got.body)
		var names []string
		var text strings.Builder
		for _, e := range all {
			if e.name == "text" {
				text.WriteString(e.data["text"].(string))
			}
			if len(names) == 0 || names[len(names)-1] != e.name {
				names = append(names, e.name)
			}
		}
		if want := []string{"conversation", "code", "output", "text", "done"}; !slices.Equal(names, want) {
			t.Fatalf("events = %q, want %q", names, want)
		}
		if code := all[1].data; code["code"] != "6 * 7" || code["status"] != "running" {
			t.Errorf("code event = %v", code)
		}
		if output := all[2].data; output["result"] != "42" || output["status"] != "succeeded" {
			t.Errorf("output event = %v", output)
		}
		done := all[len(all)-1].data
		if done["reply"] != text.String() || done["conversation_id"] != all[0].data["conversation_id"] {
			t.Errorf("done = %v; the pieces add up to %q", done, &text)
		}
	}
}

func TestAConversationGoesOn(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	first := h.chat(t, "run x = 41", "")
	id := first.text("conversation_id")
	if second := h.chat(t, "run x + 1", id); !strings.Contains(second.text("reply"), "42") {
		t.Errorf("the variable is gone: %s", second.body)
	}
	got := h.send(t, proxied, "GET", "/api/conversations/"+id, "")
	var history struct {
		ConversationID string
		Turns          []struct {
			Turn    int
			Message string
			Steps   []struct{ Code string }
		}
	}
	if err := json.Unmarshal(snakeless(got.body), &history); err != nil || got.status != 200 {
		t.Fatalf("history: %d %s", got.status, got.body)
	}
	if len(history.Turns) != 2 || history.Turns[1].Message != "run x + 1" || history.Turns[0].Steps[0].Code != "x = 41" {
		t.Errorf("history = %+v", history)
	}
	page := h.send(t, proxied, "GET", "/api/conversations/"+id+"?limit=1", "")
	if before := page.field("before"); before != 2.0 {
		t.Errorf("a page of one turn says before = %v, want 2: %s", before, page.body)
	}

	// Another process on the same storage goes on with it.
	h.kill()
	env := map[string]string{"AGENT_STORAGE_DIR": h.dir}
	for name, value := range az.env {
		env[name] = value
	}
	h = startHandler(t, env)
	if third := h.chat(t, "run x + 2", id); !strings.Contains(third.text("reply"), "43") {
		t.Errorf("after a restart: %s", third.body)
	}

	az.take()
	if gone := h.send(t, proxied, "DELETE", "/api/conversations/"+id, ""); gone.status != 204 {
		t.Fatalf("DELETE = %d %s", gone.status, gone.body)
	}
	if calls := az.take(); !slices.Contains(calls, "DELETE pool/session https://dynamicsessions.io") {
		t.Errorf("the session was not ended: %q", calls)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if again := h.send(t, proxied, method, "/api/conversations/"+id, ""); again.status != 404 || again.text("code") != "conversation_not_found" {
			t.Errorf("%s after DELETE = %d %s", method, again.status, again.body)
		}
	}
	if n := h.stored(t); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestFailingCodeIsTheModelsToMend(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	got := h.chat(t, "run 1 / 0", "")
	if got.status != 200 || !strings.Contains(got.text("reply"), "failed (raised)") || !strings.Contains(got.text("reply"), "ZeroDivisionError") {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

func TestALostSessionIsSaid(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := startHandler(t, az.env)
	id := h.chat(t, "run x = 1", "").text("conversation_id")
	az.endSessions(t)
	if got := h.chat(t, "run 2 + 2", id).text("reply"); !strings.Contains(got, "The sandbox is a new one") {
		t.Errorf("the model was told %q", got)
	}
	if got := h.chat(t, "run 3 + 3", id).text("reply"); strings.Contains(got, "The sandbox is a new one") {
		t.Errorf("the model was told twice: %q", got)
	}
}

func TestHealthAndUnknownRoutes(t *testing.T) {
	h := startHandler(t, newAzure(t, localazure.PlannerFunc(runs)).env)
	if got := h.send(t, proxied, "GET", "/api/health", ""); got.status != 200 || got.text("status") != "up" {
		t.Errorf("health = %d %s", got.status, got.body)
	}
	for _, path := range []string{"/api", "/api/nope", "/chat", "/api/chat/x", "/api/conversations", "/api/conversations/"} {
		got := h.send(t, proxied, http.MethodGet, path, "")
		if got.status != 404 || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("GET %s = %d %s", path, got.status, got.body)
		}
	}
}
