package localazure

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// standIn starts an OpenAI with the plans, and returns it with a function that
// posts a body to it under a token for audience.
func standIn(t *testing.T, config OpenAIConfig, plans ...Plan) (*OpenAI, func(audience, body string) *http.Response) {
	t.Helper()
	issuer, err := NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	config.Deployments, config.Issuer = []string{"gpt"}, issuer
	if config.Planner == nil {
		config.Planner = Script(plans...)
	}
	o := NewOpenAI(config)
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	return o, func(audience, body string) *http.Response {
		t.Helper()
		token, err := issuer.Mint(audience, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/openai/v1/responses", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
}

const openAIAudience = "https://cognitiveservices.azure.com"

// ask is a request that asks for something, with more fields.
func ask(more string) string { return `{"model":"gpt","input":"Hi."` + more + `}` }

func TestOpenAIStream(t *testing.T) {
	_, post := standIn(t, OpenAIConfig{Reasoning: true}, Plan{Text: "Let me see.", Calls: []ToolCall{{Name: "f", Arguments: `{"a": 1}`}}})
	res := post(openAIAudience, ask(`,"stream":true,"include":["reasoning.encrypted_content"],"store":false`))
	if got := res.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" || res.Header.Get("Apim-Request-Id") == "" {
		t.Errorf("headers %v", res.Header)
	}
	var types []string
	var last map[string]any
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		last = nil
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			t.Fatal(err)
		}
		if last["sequence_number"] != float64(len(types)) {
			t.Errorf("event %d has the number %v", len(types), last["sequence_number"])
		}
		types = append(types, strings.TrimPrefix(last["type"].(string), "response."))
	}
	want := []string{"created", "in_progress",
		"output_item.added", "output_item.done",
		"output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
		"output_item.added", "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
		"completed"}
	if !slices.Equal(types, want) {
		t.Errorf("events\n%q, want\n%q", types, want)
	}
	output := last["response"].(map[string]any)["output"].([]any)
	for i, prefix := range []string{"rs_", "msg_", "fc_"} {
		if item := output[i].(map[string]any); !strings.HasPrefix(item["id"].(string), prefix) {
			t.Errorf("item %d is %v, want an id with %s", i, item, prefix)
		}
	}
	if output[0].(map[string]any)["encrypted_content"] == nil || !strings.HasPrefix(output[2].(map[string]any)["call_id"].(string), "call_") {
		t.Errorf("output %v", output)
	}
}

// What is refused, with the status and the code or a part of the message.
func TestOpenAIRefusals(t *testing.T) {
	const (
		call   = `{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{}"}`
		output = `{"type":"function_call_output","call_id":"call_1","output":"1"}`
		user   = `{"role":"user","content":[{"type":"input_text","text":"Hi."}]}`
		thinks = `{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"}`
	)
	input := func(items ...string) string { return `{"model":"gpt","input":[` + strings.Join(items, ",") + `]}` }
	tools := func(schema string) string {
		return ask(`,"tools":[{"type":"function","name":"f","strict":true,"parameters":` + schema + `}]`)
	}
	for name, test := range map[string]struct {
		audience, body string
		status         int
		says           string
	}{
		"another audience":       {"https://dynamicsessions.io", ask(""), 401, "audience is incorrect"},
		"not JSON":               {openAIAudience, `{`, 400, "Invalid JSON"},
		"no such deployment":     {openAIAudience, `{"model":"other","input":"Hi."}`, 404, "DeploymentNotFound"},
		"no input":               {openAIAudience, `{"model":"gpt"}`, 400, "'input'"},
		"output without a call":  {openAIAudience, input(user, output), 400, "No tool call found for function call output with call_id call_1."},
		"output before its call": {openAIAudience, input(user, output, call), 400, "No tool call found"},
		"call without an output": {openAIAudience, input(user, call), 400, "No tool output found for function call call_1."},
		"reasoning for nothing":  {openAIAudience, input(user, thinks), 400, "required following item"},
		"reasoning, then user":   {openAIAudience, input(user, thinks, user), 400, "required following item"},
		"reasoning by id alone":  {openAIAudience, input(user, strings.Replace(thinks, `"x"`, `null`, 1), call, output), 404, "not found"},
		"too small a bound":      {openAIAudience, ask(`,"max_output_tokens":15`), 400, "integer_below_min_value"},
		"loose schema":           {openAIAudience, tools(`{"type":"object","properties":{}}`), 400, "additionalProperties"},
		"optional property":      {openAIAudience, tools(`{"type":"object","properties":{"a":{}},"required":[],"additionalProperties":false}`), 400, "Missing 'a'"},
		"content filter":         {openAIAudience, ask(""), 400, `"jailbreak":{"detected":true,"filtered":true}`},
		"the other audience":     {"https://ai.azure.com", ask(""), 400, "content_filter"},
	} {
		t.Run(name, func(t *testing.T) {
			_, post := standIn(t, OpenAIConfig{}, Plan{Refused: true})
			res := post(test.audience, test.body)
			body, _ := io.ReadAll(res.Body)
			var e struct{ Error struct{ Message string } }
			if res.StatusCode != test.status || json.Unmarshal(body, &e) != nil || e.Error.Message == "" || !strings.Contains(string(body), test.says) {
				t.Errorf("got %d %s, want %d saying %q", res.StatusCode, body, test.status, test.says)
			}
		})
	}
}

func TestOpenAITranscript(t *testing.T) {
	var seen Transcript
	_, post := standIn(t, OpenAIConfig{Planner: PlannerFunc(func(_ context.Context, tr Transcript) (Plan, error) {
		seen = tr
		return Plan{Text: "Done."}, nil
	})})
	res := post(openAIAudience, `{"model":"gpt","instructions":"Be brief.","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"input":[
		{"role":"developer","content":"No lists."},{"role":"user","content":"Hi."},
		{"type":"reasoning","id":"rs_1","encrypted_content":"x"},
		{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello."}]},
		{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"1"}]}`)
	var answer struct {
		Status string
		Usage  struct{ Input, Output int }
		Output []struct{ Content []struct{ Text string } }
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Status != "completed" || answer.Output[0].Content[0].Text != "Done." {
		t.Errorf("answer %+v, %v", answer, err)
	}
	got, _ := json.Marshal(seen)
	want, _ := json.Marshal(Transcript{Instructions: "Be brief.\nNo lists.", Tools: []string{"f"}, Entries: []Entry{{User: "Hi."}, {Assistant: "Hello."},
		{Call: &ToolCall{"call_1", "f", "{}"}}, {Output: &ToolOutput{"call_1", "1"}}}})
	if !bytes.Equal(got, want) {
		t.Errorf("the planner saw\n%s, want\n%s", got, want)
	}
}

func TestOpenAIBound(t *testing.T) {
	for _, test := range []struct {
		plan   Plan
		reason string
		items  int
	}{
		{Plan{Text: strings.Repeat("x", 64)}, "", 1},
		{Plan{Text: strings.Repeat("x", 65)}, "max_output_tokens", 1},
		{Plan{Text: strings.Repeat("x", 60), Calls: []ToolCall{{Name: "f", Arguments: "{}{}"}}}, "max_output_tokens", 1},
		{Plan{Text: "x", Calls: []ToolCall{{Name: "f", Arguments: "{}"}}}, "", 2},
	} {
		_, post := standIn(t, OpenAIConfig{}, test.plan)
		var answer struct {
			Incomplete struct{ Reason string } `json:"incomplete_details"`
			Output     []any
		}
		err := json.NewDecoder(post(openAIAudience, ask(`,"max_output_tokens":16`)).Body).Decode(&answer)
		if err != nil || answer.Incomplete.Reason != test.reason || len(answer.Output) != test.items {
			t.Errorf("%+v: got %+v, %v; want %q with %d items", test.plan, answer, err, test.reason, test.items)
		}
	}
}

func TestOpenAIFaults(t *testing.T) {
	o, post := standIn(t, OpenAIConfig{}, Plan{Text: "one two"}, Plan{Text: "one two"})
	o.Faults.Set(Fault{Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second, Times: 1})
	res := post(openAIAudience, ask(""))
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "7" || !strings.Contains(string(body), `"code":"429"`) {
		t.Errorf("got %d %v %s", res.StatusCode, res.Header, body)
	}

	o.Faults.Set(Fault{CutAfter: 100, Times: 1})
	body, err := io.ReadAll(post(openAIAudience, ask(`,"stream":true`)).Body)
	if len(body) != 100 || err == nil {
		t.Errorf("got %d bytes, %v; want 100 and a broken connection", len(body), err)
	}

	if res := post(openAIAudience, ask("")); res.StatusCode != 200 {
		t.Errorf("after the fault: %d", res.StatusCode)
	}
	if res := post(openAIAudience, ask("")); res.StatusCode != 500 {
		t.Errorf("a planner that fails: %d", res.StatusCode)
	}
}

// Other paths and methods are not there, as on a real resource.
func TestOpenAIPaths(t *testing.T) {
	o := NewOpenAI(OpenAIConfig{})
	for _, target := range []string{"POST /openai/responses?api-version=2025-03-01-preview", "POST /openai/deployments/gpt/chat/completions",
		"GET /openai/v1/responses", "GET /"} {
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		o.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "Resource not found") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

// A caller that goes away ends the stream at its next piece.
func TestOpenAICallerGoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := NewOpenAI(OpenAIConfig{Deployments: []string{"gpt"}, ChunkDelay: time.Hour, Planner: Script(Plan{Text: "never"})})
	w := httptest.NewRecorder()
	cancel()
	o.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/openai/v1/responses", strings.NewReader(ask(`,"stream":true`))).WithContext(ctx))
	if body := w.Body.String(); strings.Contains(body, "never") || !strings.Contains(body, "response.created") {
		t.Errorf("sent %s", body)
	}
}

func FuzzOpenAIRequest(f *testing.F) {
	f.Add(ask(`,"stream":true`))
	f.Add(ask(`,"max_output_tokens":16,"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]`))
	f.Add(`{"model":"gpt","input":[{"role":"user","content":[{"text":"a"},{"refusal":"b"}]},{"type":"reasoning"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		o := NewOpenAI(OpenAIConfig{Deployments: []string{"gpt"}, Reasoning: true, Planner: Script(Plan{Text: "Hello there.", Calls: []ToolCall{{Name: "f"}}})})
		w := httptest.NewRecorder()
		o.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/openai/v1/responses", strings.NewReader(body)))
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s: %s", body, w.Body)
		}
	})
}
