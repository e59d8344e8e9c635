package llm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"

	"keyless/handler/agent"
)

// BenchmarkNext compares a step of this package with a bare net/http call and
// with the SDK's typed way, over a history of 24 kB, against a service that
// answers at once with 24 words.
func BenchmarkNext(b *testing.B) {
	server := httptest.NewServer(canned())
	defer server.Close()
	m := newModel(b, Config{Endpoint: server.URL, Deployment: "gpt", HTTPClient: server.Client()})
	r := longRequest()
	for name, step := range map[string]func(text func(string)) (agent.Response, error){
		"bare":  func(text func(string)) (agent.Response, error) { return bare(server, m.encode(r, text != nil), text) },
		"here":  func(text func(string)) (agent.Response, error) { return m.Next(b.Context(), r, text) },
		"typed": func(text func(string)) (agent.Response, error) { return typed(b.Context(), m, r, text) },
	} {
		for mode, text := range map[string]func(string){"whole": nil, "streamed": func(string) {}} {
			b.Run(mode+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if response, err := step(text); err != nil || response.Text != words {
						b.Fatalf("%+v, %v", response, err)
					}
				}
			})
		}
	}
}

var words = strings.TrimSpace(strings.Repeat("word ", 24))

// canned answers with the same words each time, as the service would.
func canned() http.Handler {
	whole := strings.Replace(strings.ReplaceAll(completed, "\n", ""), "Hello.", words, 1)
	events := []string{`{"type":"response.created","response":` + whole + `}`, `{"type":"response.in_progress","response":` + whole + `}`}
	for word := range strings.SplitAfterSeq(words, " ") {
		events = append(events, `{"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"`+
			word+`","logprobs":[],"obfuscation":"cT8NcN5bn2R8s"}`)
	}
	streamed := stream(append(events, `{"type":"response.completed","response":`+whole+`}`)...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte(`"stream":true`)) {
			streamed.ServeHTTP(w, r)
		} else {
			reply{body: whole}.ServeHTTP(w, r)
		}
	})
}

// longRequest has a history of about 24 kB.
func longRequest() agent.Request {
	r := question("Hi.")
	for i := range 12 {
		id := fmt.Sprintf("call_%d", i)
		call, _ := json.Marshal(map[string]string{"type": "function_call", "id": "fc_" + id, "call_id": id, "name": "run_python",
			"arguments": `{"code":"` + strings.Repeat(`print(1)\n`, 90) + `"}`})
		r.Items = append(r.Items, agent.Item{Model: call}, agent.Item{Output: &agent.Output{CallID: id, Text: strings.Repeat("a line\n", 120)}})
	}
	return r
}

// bare is the least that a Go program does for the same answer.
func bare(server *httptest.Server, body []byte, text func(string)) (agent.Response, error) {
	res, err := server.Client().Post(server.URL+"/openai/v1/responses", "application/json", bytes.NewReader(body))
	if err != nil {
		return agent.Response{}, err
	}
	defer res.Body.Close()
	var last struct{ Response json.RawMessage }
	if text == nil {
		last.Response, err = io.ReadAll(res.Body)
	} else {
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
			switch {
			case ok && bytes.Contains(data, []byte("output_text.delta")):
				var e struct{ Delta string }
				_ = json.Unmarshal(data, &e)
				text(e.Delta)
			case ok && bytes.Contains(data, []byte("response.completed")):
				err = json.Unmarshal(data, &last)
			}
		}
	}
	if err != nil {
		return agent.Response{}, err
	}
	var a answer
	if err := json.Unmarshal(last.Response, &a); err != nil {
		return agent.Response{}, err
	}
	return a.response()
}

// typed is the SDK's own way, its types throughout, items overridden.
func typed(ctx context.Context, m *Model, r agent.Request, text func(string)) (agent.Response, error) {
	params := responses.ResponseNewParams{Model: m.Deployment, Instructions: param.NewOpt(r.Instructions), Store: param.NewOpt(false),
		Include: []responses.ResponseIncludable{responses.ResponseIncludableReasoningEncryptedContent}}
	var input responses.ResponseInputParam
	for _, item := range r.Items {
		switch {
		case item.Model != nil:
			input = append(input, param.Override[responses.ResponseInputItemUnionParam](item.Model))
		case item.Output != nil:
			output := responses.ResponseInputItemParamOfFunctionCallOutput(item.Output.Text)
			output.OfFunctionCallOutput.CallID = param.NewOpt(item.Output.CallID)
			input = append(input, output)
		default:
			input = append(input, responses.ResponseInputItemParamOfMessage(item.User, responses.EasyInputMessageRoleUser))
		}
	}
	params.Input.OfInputItemList = input
	auth := option.WithHeader("Authorization", "Bearer token")
	var final *responses.Response
	if text == nil {
		var err error
		if final, err = m.service.New(ctx, params, auth); err != nil {
			return agent.Response{}, err
		}
	} else {
		events := m.service.NewStreaming(ctx, params, auth)
		for events.Next() {
			switch e := events.Current().AsAny().(type) {
			case responses.ResponseTextDeltaEvent:
				text(e.Delta)
			case responses.ResponseCompletedEvent:
				final = &e.Response
			}
		}
		if err := events.Err(); err != nil {
			return agent.Response{}, err
		}
	}
	response := agent.Response{Text: final.OutputText()}
	for _, item := range final.Output {
		response.Items = append(response.Items, agent.Item{Model: json.RawMessage(item.RawJSON())})
	}
	return response, nil
}
