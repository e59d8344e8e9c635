package localazure_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/handler/localazure"
	"keyless/handler/sessions"
)

func TestSessionPoolRefuses(t *testing.T) {
	const (
		audience = "https://dynamicsessions.io"
		good     = "?api-version=2025-10-02-preview&identifier=one-1"
		flat     = `{"codeInputType":"inline","executionType":"synchronous","code":"count"}`
	)
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	for name, tt := range map[string]struct {
		method, path, audience, body string
		status                       int
		code                         string // empty: no body
	}{
		"good":             {"POST", "/executions" + good, audience, flat, 200, ""},
		"other audience":   {"POST", "/executions" + good, "https://management.azure.com", flat, 401, ""},
		"other version":    {"POST", "/executions?api-version=2020-01-01&identifier=one-1", audience, flat, 401, ""},
		"no version":       {"GET", "/metadata", audience, "", 401, ""},
		"old shape":        {"POST", "/executions" + good, audience, `{"properties":{"code":"count"}}`, 400, "SessionPropertiesMissing"},
		"no code":          {"POST", "/executions" + good, audience, `{"executionType":"Synchronous","codeInputType":"Inline"}`, 400, "SessionRequestValidationFailed"},
		"not JSON":         {"POST", "/executions" + good, audience, `code`, 400, "SessionRequestValidationFailed"},
		"shell":            {"POST", "/executions" + good, audience, `{"shellCommand":"echo hi"}`, 400, "SessionPropertiesMissing"},
		"shell arguments":  {"POST", "/executions" + good, audience, `{"execCommandAndArgs":["echo","hi"]}`, 400, "SessionPropertiesMissing"},
		"unknown type":     {"POST", "/executions" + good, audience, `{"codeInputType":"inline","executionType":"later","code":"count"}`, 400, "SessionRequestValidationFailed"},
		"unknown input":    {"POST", "/executions" + good, audience, `{"codeInputType":"x","executionType":"synchronous","code":"count"}`, 400, "SessionRequestValidationFailed"},
		"bad base64":       {"POST", "/executions" + good, audience, `{"codeInputType":"inlinebase64","executionType":"synchronous","code":"!"}`, 400, "SessionRequestValidationFailed"},
		"bad timeout":      {"POST", "/executions" + good, audience, strings.Replace(flat, "{", `{"timeoutInSeconds":0,`, 1), 400, "SessionRequestValidationFailed"},
		"too large":        {"POST", "/executions" + good, audience, `{"code":"` + strings.Repeat("x", 9<<20) + `"}`, 413, "RequestEntityTooLarge"},
		"too much code":    {"POST", "/executions" + good, audience, strings.Replace(flat, "count", strings.Repeat("x", 3<<20), 1), 413, "RequestEntityTooLarge"},
		"no identifier":    {"POST", "/executions?api-version=2025-10-02-preview", audience, flat, 400, "SessionRequestValidationFailed"},
		"short identifier": {"GET", "/session?api-version=2025-10-02-preview&identifier=abc", audience, "", 400, "SessionRequestValidationFailed"},
		"method":           {"PUT", "/executions" + good, audience, flat, 400, "SessionRequestNotSupported"},
		"route":            {"GET", "/nothing" + good, audience, "", 400, "SessionRequestNotSupported"},
		"unclean path":     {"GET", "//files" + good, audience, "", 400, "SessionRequestValidationFailed"},
		"dots in the path": {"GET", "/../p/files" + good, audience, "", 400, "SessionRequestValidationFailed"},
		"no session":       {"GET", "/session?api-version=2025-10-02-preview&identifier=none-1", audience, "", 400, "SessionWithIdentifierNotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			response, answer := rig.request(t, tt.method, poolPath+tt.path, tt.audience, tt.body)
			if response.StatusCode != tt.status || response.Header.Get("x-ms-error-code") != tt.code {
				t.Fatalf("%d %s: %s; want %d %s", response.StatusCode, response.Header.Get("x-ms-error-code"), answer, tt.status, tt.code)
			}
			if tt.status == 401 && answer != "" {
				t.Errorf("the 401 has a body: %s", answer)
			}
			if tt.code != "" && (!strings.Contains(answer, `"code":"`+tt.code+`"`) || !strings.Contains(answer, `"traceId":"`)) {
				t.Errorf("answer %s", answer)
			}
		})
	}
	if rig.runs.Load() != 1 {
		t.Errorf("%d executions, want 1", rig.runs.Load())
	}
}

func TestSessionPoolWrongAudience(t *testing.T) {
	client := newPoolRig(t, localazure.SessionPoolConfig{}).client(t, func(o *sessions.Options) { o.Audience = "https://management.azure.com" })
	_, err := client.Execute(t.Context(), "one-1", sessions.ExecuteRequest{Code: "count"})
	if e, ok := errors.AsType[*sessions.Error](err); !ok || !errors.Is(err, sessions.ErrUnauthorized) || !strings.Contains(e.Hint, "audience") {
		t.Errorf("error %v, want ErrUnauthorized with a hint", err)
	}
}

func TestSessionPoolAnswer(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{PythonVersion: "3.14"})
	response, answer := rig.post(t, `{"codeInputType":"InlineBase64","executionType":"Synchronous","code":"Y291bnQ="}`)
	var got map[string]any
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	id, _ := got["id"].(string)
	result, _ := got["result"].(map[string]any)
	if id == "" || got["$id"] != "1" || got["status"] != "Succeeded" || got["identifier"] != "one-1" || result["$id"] != "2" || result["executionResult"] != 1.0 {
		t.Errorf("answer %s", answer)
	}
	header := response.Header
	if header.Get("operation-id") != id || !strings.HasPrefix(header.Get("Operation-Location"), "/executions/"+id+"?") ||
		header.Get("X-Ms-Session-Guid") == "" || header.Get("X-Ms-Overall-Execution-Time") == "" {
		t.Errorf("headers %v", header)
	}
	const query = "?api-version=2025-10-02-preview&identifier=one-1"
	if _, again := rig.request(t, "GET", poolPath+"/executions/"+id+query, "https://dynamicsessions.io", ""); again != answer {
		t.Errorf("GET of the execution: %s, want %s", again, answer)
	}
	if response, text := rig.request(t, "GET", poolPath+"/executions/none"+query, "https://dynamicsessions.io", ""); response.StatusCode != 404 || !strings.HasPrefix(text, `"No execution`) {
		t.Errorf("GET of an unknown execution: %d %s", response.StatusCode, text)
	}
	if _, text := rig.request(t, "GET", poolPath+"/metadata"+query, "https://dynamicsessions.io", ""); !strings.Contains(text, `"version":"3.14"`) {
		t.Errorf("metadata %s", text)
	}
}

// TestSessionPoolFaults has each fault met by the real client, and counts how
// often the code ran.
func TestSessionPoolFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault localazure.Fault
		want  error // nil: the client gets over it
		runs  int32
	}{
		"401":             {localazure.Fault{Status: 401}, sessions.ErrUnauthorized, 0},
		"403":             {localazure.Fault{Status: 403}, sessions.ErrForbidden, 0},
		"404":             {localazure.Fault{Status: 404}, sessions.ErrPoolFull, 0},
		"429 once":        {localazure.Fault{Status: 429, Times: 1}, nil, 1},
		"429 for a while": {localazure.Fault{Status: 429}, sessions.ErrThrottled, 0},
		"429 for long":    {localazure.Fault{Status: 429, RetryAfter: time.Hour}, sessions.ErrThrottled, 0},
		"500":             {localazure.Fault{Status: 500, Times: 1}, sessions.ErrUnavailable, 0},
		"503":             {localazure.Fault{Status: 503, Times: 1}, sessions.ErrUnavailable, 0},
		"slow":            {localazure.Fault{Delay: 20 * time.Millisecond}, nil, 1},
		"cut at once":     {localazure.Fault{CutAfter: -1}, sessions.ErrUnavailable, 1},
		"cut":             {localazure.Fault{CutAfter: 30}, sessions.ErrUnavailable, 1},
		"not JSON":        {localazure.Fault{Status: 200, Body: "<html>"}, sessions.ErrProtocol, 0},
		"502 page":        {localazure.Fault{Status: 502, Body: "<html>Bad Gateway</html>", Header: http.Header{"Content-Type": {"text/html"}}}, sessions.ErrUnavailable, 0},
		"redirect":        {localazure.Fault{Status: 307, Header: http.Header{"Location": {"https://evil.example/"}}}, sessions.ErrRedirected, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newPoolRig(t, localazure.SessionPoolConfig{})
			client := rig.client(t)
			rig.Faults.Set(tt.fault)
			_, err := client.Execute(t.Context(), "one-1", sessions.ExecuteRequest{Code: "count"})
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if got := rig.runs.Load(); got != tt.runs {
				t.Errorf("the code ran %d times, want %d", got, tt.runs)
			}
			rig.Faults.Clear()
			run(t, client, "one-1", "count")
		})
	}
}

func TestSessionPoolSlowBeyondDeadline(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	client := rig.client(t)
	rig.Faults.Set(localazure.Fault{Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := client.Execute(ctx, "one-1", sessions.ExecuteRequest{Code: "count"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want DeadlineExceeded", err)
	}
}
