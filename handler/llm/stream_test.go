package llm

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/agent"
	"keyless/handler/fault"
)

// next takes one streamed step.
func next(t *testing.T, m *Model) (agent.Response, string, error) {
	t.Helper()
	var shown strings.Builder
	response, err := m.Next(t.Context(), question("Hi."), func(delta string) { shown.WriteString(delta) })
	return response, shown.String(), err
}

func TestStreamsThatFail(t *testing.T) {
	cut := stream(hello)
	cut.cut = true
	for name, test := range map[string]struct {
		replies []reply
		kind    fault.Kind
		code    string
		shown   string
	}{
		"cut after text":             {[]reply{cut}, fault.Unavailable, codeCut, "Hello."},
		"ends after text":            {[]reply{stream(hello)}, fault.Unavailable, codeCut, "Hello."},
		"[DONE] without an end":      {[]reply{stream(hello, "[DONE]")}, fault.Unavailable, codeCut, "Hello."},
		"empty, twice":               {[]reply{stream(), stream()}, fault.Unavailable, codeCut, ""},
		"failed, twice":              {[]reply{stream(`{"type":"response.failed","response":{"status":"failed","error":null}}`), stream(`{"type":"response.failed"}`)}, fault.Unavailable, codeFailed, ""},
		"failed after text":          {[]reply{stream(hello, `{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error"}}}`)}, fault.Unavailable, codeFailed, "Hello."},
		"error event":                {[]reply{stream(hello, `{"type":"error","code":"server_error","message":"m","param":null,"sequence_number":3}`)}, fault.Unavailable, codeFailed, "Hello."},
		"error event, throttled":     {[]reply{stream(`{"type":"error","code":"too_many_requests","message":"m"}`)}, fault.Throttled, codeThrottled, ""},
		"error event, with a number": {[]reply{stream(`{"type":"error","code":429,"message":"m"}`)}, fault.Throttled, codeThrottled, ""},
		"error event of a gateway":   {[]reply{stream(`{"error":{"code":"content_filter","message":"m"}}`)}, fault.Refused, codeFiltered, ""},
		"filtered":                   {[]reply{stream(hello, `{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}}`)}, fault.Refused, codeFiltered, "Hello."},
		"not JSON":                   {[]reply{stream(`{"type":"response.output_text.delta",`)}, fault.Unavailable, codeUnreadable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, shown, err := next(t, scripted(t, test.replies...))
			if f := fault.From(err); f.Kind != test.kind || f.Code != test.code || shown != test.shown || f.UpstreamID == "" {
				t.Errorf("got %v (%v), shown %q; want %s, %q", err, f.Kind, shown, test.code, test.shown)
			}
		})
	}
}

// What broke off before any text was shown is asked once more.
func TestStreamIsRepeatedBeforeText(t *testing.T) {
	cut := stream(`{"type":"response.created","response":{"status":"in_progress"}}`)
	cut.cut = true
	response, shown, err := next(t, scripted(t, cut, stream(hello, final)))
	if err != nil || response.Text != "Hello." || shown != "Hello." {
		t.Errorf("got %+v, shown %q, %v", response, shown, err)
	}
}

func TestStreamShapes(t *testing.T) {
	second := `{"type":"response.output_text.delta","output_index":1,"delta":"Bye."}`
	unnamed := reply{header: []string{"Content-Type", "text/event-stream"}, body: ": ping\r\n\r\ndata: " + hello + "\r\n\r\ndata: " + final + "\r\n\r\n"}
	for name, test := range map[string]struct {
		reply reply
		shown string
	}{
		"plain":                {stream(hello, final), "Hello."},
		"[DONE] after the end": {stream(hello, final, "[DONE]"), "Hello."},
		"events without names": {unnamed, "Hello."},
		"two messages":         {stream(hello, second, final), "Hello.\n\nBye."},
		"a refusal":            {stream(`{"type":"response.refusal.delta","output_index":0,"delta":"No."}`, final), "No."},
		"whole after all":      {reply{200, nil, completed, false}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response, shown, err := next(t, scripted(t, test.reply))
			if err != nil || shown != test.shown || response.Text != "Hello." {
				t.Errorf("got %+v, shown %q, %v; want %q", response, shown, err, test.shown)
			}
		})
	}
}

// A service that keeps the stream open after its last event holds nobody up.
func TestStreamLeftOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		m := offline(t, func(r *http.Request) (*http.Response, error) {
			go func() { _, _ = io.WriteString(writer, stream(hello, final).body) }()
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: reader, Request: r}, nil
		})
		start := time.Now()
		if _, _, err := next(t, m); err != nil || time.Since(start) != drainTime {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// An answer without end is not read without end, be it one event, many, or an
// error's body.
func TestAnswerIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		status      int
		start, more string
		limit       int
		code        string
	}{
		"event":  {200, "data: ", "x", maxAnswer, codeUnreadable},
		"stream": {200, "", "event: response.created\ndata: " + strings.Repeat("x", 1<<16) + "\n\n", maxAnswer, codeUnreadable},
		"error":  {500, "", "x", maxErrorBody, codeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			endless := &endlessReader{more: []byte(strings.Repeat(test.more, 1<<16/len(test.more)+1))}
			m := offline(t, func(r *http.Request) (*http.Response, error) {
				res := reply{status: test.status, header: append(once, stream().header...)}.response(r)
				res.Body = io.NopCloser(io.MultiReader(strings.NewReader(test.start), io.LimitReader(endless, maxAnswer*2)))
				return res, nil
			})
			_, err := m.Next(t.Context(), question("Hi."), func(string) {})
			if fault.From(err).Code != test.code || endless.read > test.limit*5/4 {
				t.Errorf("got %v after %d bytes", err, endless.read)
			}
		})
	}
}

// endlessReader repeats more.
type endlessReader struct {
	more []byte
	read int
}

func (e *endlessReader) Read(p []byte) (int, error) {
	n := copy(p, e.more[e.read%len(e.more):])
	e.read += n
	return n, nil
}

func TestItemsKept(t *testing.T) {
	reasoning := func(id, content string) string {
		return `{"type":"reasoning","id":"` + id + `","summary":[],"encrypted_content":` + content + `}`
	}
	const call = `{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{}","status":"completed"}`
	for name, test := range map[string]struct{ output, want []string }{
		"whole":                       {[]string{reasoning("rs_1", `"x"`), call}, []string{reasoning("rs_1", `"x"`), call}},
		"reasoning that lacks itself": {[]string{reasoning("rs_1", `null`), call}, []string{call}},
		"reasoning to no end":         {[]string{call, reasoning("rs_1", `"x"`)}, []string{call}},
		"a cut call":                  {[]string{reasoning("rs_1", `"x"`), strings.Replace(call, "completed", "incomplete", 1)}, nil},
		"other kinds":                 {[]string{`{"type":"web_search_call","id":"ws_1"}`, call}, []string{call}},
	} {
		a := answer{Status: "completed"}
		for _, raw := range test.output {
			a.Output = append(a.Output, json.RawMessage(raw))
		}
		response, err := a.response()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, item := range response.Items {
			got = append(got, string(item.Model))
		}
		if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("%s: kept %q, want %q", name, got, test.want)
		}
	}
}

// A deployment that does not reason says so once.
func TestWithoutReasoning(t *testing.T) {
	var sent []bool
	m := offline(t, func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		included := bytes.Contains(body, []byte("reasoning.encrypted_content"))
		sent = append(sent, included)
		if included {
			return reply{status: 400, body: `{"error":{"message":"Encrypted content is not supported with this model.","param":"include","code":null}}`}.response(r), nil
		}
		return reply{body: completed}.response(r), nil
	})
	for range 2 {
		if _, err := m.Next(t.Context(), question("Hi."), nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(sent) != 3 || !sent[0] || sent[1] || sent[2] {
		t.Errorf("asked for encrypted reasoning: %v, want once and no more", sent)
	}
}

// Reasoning that the service can no longer read is left out, with the ids that
// belong to it.
func TestForeignReasoning(t *testing.T) {
	var sent []string
	m := offline(t, func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		_, input, _ := strings.Cut(string(body), `"input":`)
		sent = append(sent, input)
		if len(sent) == 1 {
			return reply{status: 400, body: `{"error":{"message":"m","param":null,"code":"invalid_encrypted_content"}}`}.response(r), nil
		}
		return reply{body: completed}.response(r), nil
	})
	r := question("Hi.")
	r.Items = append(r.Items, agent.Item{Model: json.RawMessage(`{"id":"rs_1","type":"reasoning","encrypted_content":"gAAA"}`)},
		agent.Item{Model: json.RawMessage(`{"id":"msg_1","type":"message","role":"assistant"}`)})
	if _, err := m.Next(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	want := `[{"role":"user","content":"Hi."}` + "\n" + `,{"role":"assistant","type":"message"}]}`
	if len(sent) != 2 || sent[1] != want || len(r.Items) != 3 {
		t.Errorf("sent %q, want at last %q", sent, want)
	}
}

// Whatever a stream holds, there is an answer or a classified error.
func FuzzStream(f *testing.F) {
	f.Add([]byte(stream(hello, final).body))
	f.Add([]byte(stream(`{"type":"error","code":429}`).body))
	f.Add([]byte(stream(`{"type":"response.incomplete","response":{"status":"incomplete"}}`).body))
	f.Add([]byte("data: [DONE]\n\n"))
	f.Add([]byte("event: response.completed\ndata: {\"type\":\"response.completed\",\ndata: \"response\":null}\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		m := offline(t, func(r *http.Request) (*http.Response, error) {
			return reply{header: stream().header, body: string(body)}.response(r), nil
		})
		response, err := m.Next(t.Context(), question("Hi."), func(string) {})
		if err != nil && fault.From(err).Kind == fault.Internal {
			t.Errorf("unclassified: %v", err)
		}
		for _, item := range response.Items {
			if !json.Valid(item.Model) {
				t.Errorf("an item is not JSON: %q", item.Model)
			}
		}
	})
}
