package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"

	"keyless/handler/agent"
	"keyless/handler/fault"
	"keyless/handler/localazure"
)

const audience = "https://cognitiveservices.azure.com"

// python is a strict tool, as the stand-in insists on.
var python = agent.Spec{Name: "run_python", Description: "Runs Python.",
	Parameters: json.RawMessage(`{"type":"object","properties":{"code":{"type":"string"}},"required":["code"],"additionalProperties":false}`)}

// azure starts the stand-in and returns it with a model that speaks to it
// under a real token.
func azure(t testing.TB, config localazure.OpenAIConfig) (*localazure.OpenAI, *Model) {
	t.Helper()
	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	config.Deployments, config.Issuer = []string{"gpt"}, issuer
	openai := localazure.NewOpenAI(config)
	server := httptest.NewServer(openai)
	t.Cleanup(server.Close)
	return openai, newModel(t, Config{Endpoint: server.URL, Deployment: "gpt", HTTPClient: server.Client(),
		Token: func(context.Context) (string, error) { return issuer.Mint(audience, time.Hour) }})
}

func newModel(t testing.TB, c Config) *Model {
	t.Helper()
	if c.Token == nil {
		c.Token = func(context.Context) (string, error) { return "token", nil }
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// question is a request with a conversation of one message.
func question(text string) agent.Request {
	return agent.Request{Instructions: "Be brief.", Tools: []agent.Spec{python}, Items: []agent.Item{{User: text}}, MaxOutputTokens: 1000}
}

// both runs a test streamed and not. next takes one step and returns the text
// that was shown on the way as well.
func both(t *testing.T, test func(t *testing.T, next func(*Model, agent.Request) (agent.Response, string, error))) {
	t.Run("streamed", func(t *testing.T) {
		test(t, func(m *Model, r agent.Request) (agent.Response, string, error) {
			var shown strings.Builder
			response, err := m.Next(t.Context(), r, func(delta string) { shown.WriteString(delta) })
			return response, shown.String(), err
		})
	})
	t.Run("whole", func(t *testing.T) {
		test(t, func(m *Model, r agent.Request) (agent.Response, string, error) {
			response, err := m.Next(t.Context(), r, nil)
			return response, response.Text, err
		})
	})
}

// A turn of two steps: calls with reasoning, their outputs, the answer. The
// stand-in refuses history that the service would refuse.
func TestTurn(t *testing.T) {
	both(t, func(t *testing.T, next func(*Model, agent.Request) (agent.Response, string, error)) {
		var seen []localazure.Transcript
		script := localazure.Script(
			localazure.Plan{Text: "Let me see.", Calls: []localazure.ToolCall{
				{ID: "call_1", Name: "run_python", Arguments: `{"code": "1 < 2"}`}, {ID: "call_2", Name: "run_python", Arguments: "not JSON"}}},
			localazure.Plan{Text: "It is true & done."})
		_, m := azure(t, localazure.OpenAIConfig{Reasoning: true, Planner: localazure.PlannerFunc(
			func(ctx context.Context, tr localazure.Transcript) (localazure.Plan, error) {
				seen = append(seen, tr)
				return script.Plan(ctx, tr)
			})})

		r := question("Is 1 < 2?")
		first, shown, err := next(m, r)
		if err != nil {
			t.Fatal(err)
		}
		if first.Text != "Let me see." || shown != first.Text || len(first.Items) != 4 || first.Truncated {
			t.Errorf("first step = %+v, shown %q", first, shown)
		}
		want := []agent.Call{{ID: "call_1", Tool: "run_python", Arguments: `{"code": "1 < 2"}`}, {ID: "call_2", Tool: "run_python", Arguments: "not JSON"}}
		if !slices.Equal(first.Calls, want) {
			t.Errorf("calls = %+v, want %+v", first.Calls, want)
		}
		if first.Usage.InputTokens == 0 || first.Usage.OutputTokens == 0 {
			t.Errorf("usage = %+v, want both counted", first.Usage)
		}

		r.Items = append(r.Items, first.Items...)
		r.Items = append(r.Items, agent.Item{Output: &agent.Output{CallID: "call_1", Text: "True\n"}},
			agent.Item{Output: &agent.Output{CallID: "call_2", Text: `not "JSON"`}})
		second, shown, err := next(m, r)
		if err != nil {
			t.Fatal(err)
		}
		if second.Text != "It is true & done." || shown != second.Text || len(second.Calls) != 0 || len(second.Items) != 2 {
			t.Errorf("second step = %+v, shown %q", second, shown)
		}
		entries := seen[1].Entries
		if len(entries) != 6 || entries[0].User != "Is 1 < 2?" || entries[1].Assistant != "Let me see." ||
			entries[5].Output.Text != `not "JSON"` || seen[1].Instructions != "Be brief." || !slices.Equal(seen[1].Tools, []string{"run_python"}) {
			t.Errorf("the model was given %+v", seen[1])
		}
	})
}

// Every event of the stand-in is one that the SDK's types know.
func TestStandInSpeaksTheSDKsTypes(t *testing.T) {
	_, m := azure(t, localazure.OpenAIConfig{Reasoning: true, Planner: localazure.Script(
		localazure.Plan{Text: "Let me see.", Calls: []localazure.ToolCall{{Name: "run_python", Arguments: `{"code": "1"}`}}})})
	token, err := m.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events := m.service.NewStreaming(t.Context(), responses.ResponseNewParams{Model: "gpt",
		Input: responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("Hi.")}}, option.WithHeader("Authorization", "Bearer "+token))
	var final responses.Response
	for events.Next() {
		switch event := events.Current().AsAny().(type) {
		case nil:
			t.Errorf("unknown event %s", events.Current().RawJSON())
		case responses.ResponseCompletedEvent:
			final = event.Response
		}
	}
	if events.Err() != nil || final.OutputText() != "Let me see." || len(final.Output) != 3 || final.Usage.TotalTokens == 0 {
		t.Errorf("got %s, %v", final.RawJSON(), events.Err())
	}
}

func TestTruncatedAnswer(t *testing.T) {
	both(t, func(t *testing.T, next func(*Model, agent.Request) (agent.Response, string, error)) {
		_, m := azure(t, localazure.OpenAIConfig{Planner: localazure.Script(localazure.Plan{Text: strings.Repeat("word ", 100)})})
		r := question("Talk.")
		r.MaxOutputTokens = 16
		response, shown, err := next(m, r)
		if err != nil || !response.Truncated || len(response.Text) != 64 || shown != response.Text {
			t.Errorf("got %+v, shown %q, %v; want 64 bytes, truncated", response, shown, err)
		}
	})
}

func TestContentFilter(t *testing.T) {
	both(t, func(t *testing.T, next func(*Model, agent.Request) (agent.Response, string, error)) {
		_, m := azure(t, localazure.OpenAIConfig{Planner: localazure.Script(localazure.Plan{Refused: true})})
		_, _, err := next(m, question("Something vile."))
		f := fault.From(err)
		if f.Kind != fault.Refused || f.Code != codeFiltered || !strings.Contains(f.Message, "jailbreak") || strings.Contains(err.Error(), "vile") {
			t.Errorf("got %v", err)
		}
	})
}

// A token for another audience is refused, expired once, and reported.
func TestWrongAudience(t *testing.T) {
	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(localazure.NewOpenAI(localazure.OpenAIConfig{Deployments: []string{"gpt"}, Issuer: issuer,
		Planner: localazure.Script(localazure.Plan{Text: "Hello."})}))
	defer server.Close()
	audiences := []string{"https://dynamicsessions.io", audience}
	var expired int
	m := newModel(t, Config{Endpoint: server.URL + "/", Deployment: "gpt",
		Token:  func(context.Context) (string, error) { return issuer.Mint(audiences[expired], time.Hour) },
		Expire: func(string) { expired++ }})
	if response, err := m.Next(t.Context(), question("Hi."), nil); err != nil || response.Text != "Hello." || expired != 1 {
		t.Errorf("a refused token that is replaced: %+v, %v, %d expired", response, err, expired)
	}

	audiences, expired = []string{audiences[0], audiences[0], audiences[0]}, 0
	_, err = m.Next(t.Context(), question("Hi."), nil)
	if f := fault.From(err); f.Kind != fault.Denied || f.Code != codeUnauthorized || f.UpstreamID == "" || expired != 1 {
		t.Errorf("a token refused twice: %v, %d expired", err, expired)
	}
}

func TestTokenFailure(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a call was made without a token") }))
	defer server.Close()
	want := fault.New(fault.Denied, "token_refused", "No identity.")
	m := newModel(t, Config{Endpoint: server.URL, Deployment: "gpt", Token: func(context.Context) (string, error) { return "", want }})
	if _, err := m.Next(t.Context(), question("Hi."), nil); err != error(want) {
		t.Errorf("got %v, want the token's own error", err)
	}
}

func TestUnknownDeployment(t *testing.T) {
	_, m := azure(t, localazure.OpenAIConfig{})
	m.Deployment = "nowhere"
	_, err := m.Next(t.Context(), question("Hi."), nil)
	f := fault.From(err)
	if f.Kind != fault.Misconfigured || !strings.Contains(f.Message, `"nowhere"`) || !strings.Contains(f.Message, m.host) {
		t.Errorf("got %v, want the deployment and the host named", err)
	}
}

// The next calls go over the connection of the first, streamed or not.
func TestConnectionsAreReused(t *testing.T) {
	both(t, func(t *testing.T, next func(*Model, agent.Request) (agent.Response, string, error)) {
		server := httptest.NewUnstartedServer(localazure.NewOpenAI(localazure.OpenAIConfig{Deployments: []string{"gpt"},
			Planner: localazure.Script(slices.Repeat([]localazure.Plan{{Text: "Hello to you."}}, 5)...)}))
		var opened int
		server.Config.ConnState = countNew(&opened)
		server.Start()
		defer server.Close()
		m := newModel(t, Config{Endpoint: server.URL, Deployment: "gpt"})
		for range 5 {
			if _, _, err := next(m, question("Hi.")); err != nil {
				t.Fatal(err)
			}
		}
		if opened != 1 {
			t.Errorf("%d connections were opened for five calls in a row, want 1", opened)
		}
	})
}

// A caller that goes away ends the call, with the context's own error.
func TestCanceled(t *testing.T) {
	_, m := azure(t, localazure.OpenAIConfig{ChunkDelay: time.Hour, Planner: localazure.Script(localazure.Plan{Text: "never"})})
	ctx, cancel := context.WithCancel(t.Context())
	arrived := make(chan struct{})
	m.HTTPClient.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		res, err := http.DefaultTransport.RoundTrip(r)
		close(arrived)
		return res, err
	})
	go func() { <-arrived; cancel() }()
	_, err := m.Next(ctx, question("Hi."), func(string) {})
	if f := fault.From(err); f.Kind != fault.Canceled || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestEndpointForms(t *testing.T) {
	for _, test := range []struct{ endpoint, want string }{
		{"https://x.openai.azure.com", "https://x.openai.azure.com/openai/v1/"},
		{" https://x.openai.azure.com/ ", "https://x.openai.azure.com/openai/v1/"},
		{"https://x.openai.azure.com/openai", "https://x.openai.azure.com/openai/v1/"},
		{"https://x.openai.azure.com/openai/v1", "https://x.openai.azure.com/openai/v1/"},
		{"https://x.openai.azure.com/openai/v1/", "https://x.openai.azure.com/openai/v1/"},
		{"https://gateway.example/team/openai/v1/", "https://gateway.example/team/openai/v1/"},
		{"http://localhost:8080", "http://localhost:8080/openai/v1/"},
		{"http://[::1]:8080", "http://[::1]:8080/openai/v1/"},
		{"http://x.openai.azure.com", ""},
		{"x.openai.azure.com", ""},
		{"", ""},
		{"https://user:secret@x.openai.azure.com", ""},
		{"https://x.openai.azure.com/openai/responses?api-version=2025-04-01-preview", ""},
		{"https://x.openai.azure.com/openai/deployments/gpt/chat/completions", ""},
	} {
		u, err := baseURL(test.endpoint)
		if got := fmt.Sprint(u); (err == nil) != (test.want != "") || err == nil && got != test.want {
			t.Errorf("baseURL(%q) = %s, %v; want %q", test.endpoint, got, err, test.want)
		}
	}
}

// What the operator has in his shell does not reach Azure.
func TestEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-leak")
	t.Setenv("OPENAI_ORG_ID", "org-leak")
	t.Setenv("OPENAI_BASE_URL", "https://elsewhere.example")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), "leak") {
				t.Errorf("the header %s carries %q", name, values)
			}
		}
		body, _ := io.ReadAll(r.Body)
		var sent map[string]any
		if err := json.Unmarshal(body, &sent); err != nil || sent["store"] != false || sent["stream"] != nil {
			t.Errorf("sent %s (%v)", body, err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, completed)
	}))
	defer server.Close()
	m := newModel(t, Config{Endpoint: server.URL, Deployment: "gpt"})
	if _, err := m.Next(t.Context(), question("Hi."), nil); err != nil {
		t.Error(err)
	}
}
