package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/agent"
	"keyless/handler/fault"
)

// completed is a whole answer, unstreamed.
const completed = `{"id":"resp_1","status":"completed","error":null,"incomplete_details":null,"output":[
	{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello.","annotations":[]}]}],
	"usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":5},"output_tokens":3}}`

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// countNew counts connections. The server calls it from one goroutine.
func countNew(n *int) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			*n++
		}
	}
}

// reply is one scripted answer of a raw server.
type reply struct {
	status int // 0: 200
	header []string
	body   string
	cut    bool // the connection breaks after the body
}

// stream is a reply of server-sent events, each given by its data.
func stream(events ...string) reply {
	var b strings.Builder
	for _, data := range events {
		name := ""
		if _, rest, ok := strings.Cut(data, `"type":"`); ok {
			name, _, _ = strings.Cut(rest, `"`)
		}
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, data)
	}
	return reply{header: []string{"Content-Type", "text/event-stream; charset=utf-8"}, body: b.String()}
}

func (r reply) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Apim-Request-Id", "upstream-1")
	for i := 0; i < len(r.header); i += 2 {
		w.Header().Set(r.header[i], r.header[i+1])
	}
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	_, _ = io.WriteString(w, r.body)
	if r.cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// response is the reply as a transport returns it.
func (r reply) response(request *http.Request) *http.Response {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	return w.Result()
}

// scripted returns a model whose service gives the replies in order, one a
// request. The test fails if their number is not the requests'.
func scripted(t *testing.T, replies ...reply) *Model {
	t.Helper()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		if len(replies) == 0 {
			mu.Unlock()
			t.Error("one request too many")
			w.WriteHeader(http.StatusTeapot)
			return
		}
		next := replies[0]
		replies = replies[1:]
		mu.Unlock()
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		if len(replies) > 0 {
			t.Errorf("%d replies were not asked for", len(replies))
		}
	})
	return newModel(t, Config{Endpoint: server.URL, Deployment: "gpt", HTTPClient: server.Client()})
}

var (
	final = `{"type":"response.completed","response":` + strings.ReplaceAll(completed, "\n", "") + `}`
	hello = `{"type":"response.output_text.delta","output_index":0,"delta":"Hello."}`
)

// once makes the SDK try no more.
var once = []string{"X-Should-Retry", "false"}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		reply reply
		kind  fault.Kind
		code  string
		says  string // part of the message
	}{
		"filter": {reply{400, nil, `{"error":{"message":"m","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":
			{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false},"sexual":{"filtered":true,"severity":"high"},"odd":[1]}}}}`, false},
			fault.Refused, codeFiltered, "(sexual)"},
		"filter, Responses": {reply{400, nil, `{"error":{"message":"m","code":"content_filter","content_filters":[{"blocked":true,"source_type":"prompt",
			"content_filter_results":{"jailbreak":{"filtered":true,"detected":true}}}]}}`, false}, fault.Refused, codeFiltered, "(jailbreak)"},
		"too long":        {reply{400, nil, `{"error":{"message":"m","code":"context_length_exceeded"}}`, false}, fault.TooLarge, codeTooLong, "new one"},
		"bad parameter":   {reply{400, nil, `{"error":{"message":"Unsupported parameter: 'x'.","param":"x","code":"unsupported_parameter"}}`, false}, fault.Misconfigured, codeRejected, "'x'"},
		"APIM":            {reply{401, nil, `{"statusCode":401,"message":"Unauthorized."}`, false}, fault.Denied, codeUnauthorized, "https://cognitiveservices.azure.com"},
		"role":            {reply{403, nil, `{"error":{"code":"403","message":"m"}}`, false}, fault.Denied, codeForbidden, "Cognitive Services OpenAI User"},
		"role, as a 401":  {reply{401, nil, `{"error":{"code":"PermissionDenied","message":"m"}}`, false}, fault.Denied, codeForbidden, "Cognitive Services OpenAI User"},
		"deployment":      {reply{404, nil, `{"error":{"code":"DeploymentNotFound","message":"m"}}`, false}, fault.Misconfigured, codeNotFound, `"gpt"`},
		"HTML":            {reply{404, []string{"Content-Type", "text/html"}, `<html>no</html>`, false}, fault.Misconfigured, codeNotFound, `"gpt"`},
		"long throttle":   {reply{429, []string{"Retry-After", "45"}, `{"error":{"code":"429","message":"m"}}`, false}, fault.Throttled, codeThrottled, "quota"},
		"numeric code":    {reply{429, once, `{"error":{"code":429,"message":"m"}}`, false}, fault.Throttled, codeThrottled, "quota"},
		"text for error":  {reply{503, once, `{"error":"overloaded"}`, false}, fault.Unavailable, codeUnavailable, "503"},
		"empty":           {reply{500, once, ``, false}, fault.Unavailable, codeUnavailable, "500"},
		"timeout":         {reply{408, once, `gone`, false}, fault.Unavailable, codeUnavailable, "408"},
		"too large":       {reply{413, nil, ``, false}, fault.TooLarge, codeTooLong, "larger"},
		"a page":          {reply{200, []string{"Content-Type", "text/html"}, `<html>hello</html>`, false}, fault.Unavailable, codeUnreadable, "endpoint"},
		"not an answer":   {reply{200, nil, `{}`, false}, fault.Unavailable, codeUnreadable, "endpoint"},
		"a list":          {reply{200, nil, `[1]`, false}, fault.Unavailable, codeUnreadable, "endpoint"},
		"odd output":      {reply{200, nil, `{"status":"completed","output":[1]}`, false}, fault.Unavailable, codeUnreadable, "endpoint"},
		"call without id": {reply{200, nil, `{"status":"completed","output":[{"type":"function_call","name":"f"}]}`, false}, fault.Unavailable, codeUnreadable, "endpoint"},
		"answer filtered": {reply{200, nil, `{"status":"incomplete","incomplete_details":{"reason":"content_filter"},"content_filters":[
			{"blocked":true,"source_type":"completion","content_filter_results":{"violence":{"filtered":true}}}]}`, false}, fault.Refused, codeFiltered, "(violence)"},
		"failed, throttled": {reply{200, nil, `{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}`, false}, fault.Throttled, codeThrottled, "quota"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scripted(t, test.reply).Next(t.Context(), question("secret prompt"), nil)
			f := fault.From(err)
			if f.Kind != test.kind || f.Code != test.code || !strings.Contains(f.Message, test.says) || f.UpstreamID != "upstream-1" {
				t.Errorf("got %v (%v), want %v %s saying %q", err, f.Kind, test.kind, test.code, test.says)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats the prompt: %v", err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		ms, value string
		want      time.Duration
	}{
		{"", "", 0}, {"", "7", 7 * time.Second}, {"1500", "2", 1500 * time.Millisecond}, {"x", "1.5", 1500 * time.Millisecond},
		{"", "Fri, 02 Jan 2026 03:04:35 GMT", 30 * time.Second}, {"", "Fri, 02 Jan 2026 03:04:00 GMT", 0},
		{"", "-1", 0}, {"", "NaN", 0}, {"", "1e300", maxWait}, {"Inf", "", maxWait}, {"", "soon", 0},
	} {
		h := http.Header{"Retry-After-Ms": {test.ms}, "Retry-After": {test.value}}
		if got := retryAfter(h, now); got != test.want {
			t.Errorf("retryAfter(%q, %q) = %v, want %v", test.ms, test.value, got, test.want)
		}
	}
}

// Before an answer has begun, a passing trouble is waited out.
func TestRetries(t *testing.T) {
	soon := []string{"Retry-After-Ms", "1"}
	m := scripted(t, reply{429, soon, `{}`, false}, reply{503, soon, ``, false}, reply{200, nil, completed, false})
	response, err := m.Next(t.Context(), question("Hi."), nil)
	if want := (agent.Usage{InputTokens: 7, OutputTokens: 3, CachedTokens: 5}); err != nil || response.Text != "Hello." || response.Usage != want {
		t.Errorf("got %+v, %v", response, err)
	}
}

func TestThrottledThroughout(t *testing.T) {
	soon := reply{429, []string{"Retry-After-Ms", "20"}, `{}`, false}
	_, err := scripted(t, soon, soon, soon).Next(t.Context(), question("Hi."), func(string) {})
	if f := fault.From(err); f.Kind != fault.Throttled || f.RetryAfter != 20*time.Millisecond {
		t.Errorf("got %v, retry after %v", err, f.RetryAfter)
	}
}

// offline returns a model whose transport is f.
func offline(t testing.TB, f roundTripper) *Model {
	return newModel(t, Config{Endpoint: "https://x.openai.azure.com", Deployment: "gpt", HTTPClient: &http.Client{Transport: f}})
}

// A caller that goes away in that wait has gone away, and was not throttled.
func TestCanceledWhileThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := offline(t, func(r *http.Request) (*http.Response, error) {
			time.AfterFunc(time.Second, cancel)
			return reply{status: 429, header: []string{"Retry-After", "5"}}.response(r), nil
		})
		if _, err := m.Next(ctx, question("Hi."), nil); !fault.Is(err, fault.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
	})
}

// Time that runs out in the wait after a 429 is reported as the 429; time that
// runs out in the call after it is not.
func TestDeadlineWhileThrottled(t *testing.T) {
	for _, test := range []struct {
		limit time.Duration
		want  fault.Kind
	}{{3 * time.Second, fault.Throttled}, {9 * time.Second, fault.Deadline}} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			m := offline(t, func(r *http.Request) (*http.Response, error) {
				if calls++; calls > 1 {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return reply{status: 429, header: []string{"Retry-After", "5"}}.response(r), nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), test.limit)
			defer cancel()
			start := time.Now()
			_, err := m.Next(ctx, question("Hi."), nil)
			f := fault.From(err)
			if f.Kind != test.want || time.Since(start) != test.limit {
				t.Errorf("within %v: got %v after %v, want %v", test.limit, err, time.Since(start), test.want)
			}
			if f.Kind == fault.Throttled && f.RetryAfter != 5*time.Second {
				t.Errorf("retry after %v, want 5s", f.RetryAfter)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	for _, test := range []struct {
		err  error
		want fault.Kind
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, fault.Misconfigured},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, fault.Unavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			m := offline(t, func(*http.Request) (*http.Response, error) { calls++; return nil, test.err })
			_, err := m.Next(t.Context(), question("Hi."), nil)
			if f := fault.From(err); f.Kind != test.want || !strings.Contains(f.Message, "x.openai.azure.com") || calls != 1+maxRetries {
				t.Errorf("got %v after %d calls", err, calls)
			}
		})
	}
}
