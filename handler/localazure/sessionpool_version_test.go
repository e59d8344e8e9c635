package localazure_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"keyless/handler/localazure"
)

const sessionAudience = "https://dynamicsessions.io"

// call sends a request of the version on the session one-1, with a good token.
func (p *poolRig) call(t *testing.T, version, method, operation, body string) (*http.Response, string) {
	t.Helper()
	operation, query, _ := strings.Cut(operation, "?")
	return p.request(t, method, poolPath+operation+"?api-version="+version+"&identifier=one-1&"+query, sessionAudience, body)
}

// holds reports whether got has all that want has: of an object its keys, of
// an array as many elements.
func holds(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		for name, value := range want {
			ok = ok && holds(got[name], value)
		}
		return ok
	case []any:
		got, ok := got.([]any)
		ok = ok && len(got) == len(want)
		for i, value := range want {
			ok = ok && holds(got[i], value)
		}
		return ok
	}
	return got == want
}

// mustHold fails the test unless the JSON in answer has all that want has.
func mustHold(t *testing.T, answer, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("the wanted %s: %v", want, err)
	}
	if err := json.Unmarshal([]byte(answer), &g); err != nil || !holds(g, w) {
		t.Errorf("answer %s, want it to have %s", bytes.TrimSpace([]byte(answer)), want)
	}
}

const (
	flatBody   = `{"codeInputType":"Inline","executionType":"Synchronous","code":"value 42"}`
	nestedBody = `{"properties":{"codeInputType":"inline","executionType":"synchronous","code":"value 42"}}`
)

// TestSessionPoolVersions has each operation asked for in each version: the
// status it is answered with, where 400 stands for an operation that the
// version lacks.
func TestSessionPoolVersions(t *testing.T) {
	versions := []string{"2024-02-02-preview", "2024-08-02-preview", "2024-10-02-preview", "2025-02-02-preview", "2025-10-02-preview"}
	for _, tt := range []struct {
		method, operation, body string
		status                  [5]int
	}{
		{"POST", "/code/execute", nestedBody, [5]int{200, 200, 400, 400, 400}},
		{"POST", "/executions", flatBody, [5]int{400, 400, 202, 202, 200}},
		{"GET", "/executions/none", "", [5]int{400, 400, 404, 404, 404}},
		{"GET", "/files", "", [5]int{200, 200, 200, 200, 200}},
		{"GET", "/files/none", "", [5]int{404, 404, 404, 404, 404}},
		{"GET", "/files/none/content", "", [5]int{400, 400, 404, 404, 404}},
		{"GET", "/files/content/none", "", [5]int{404, 404, 400, 400, 400}},
		{"DELETE", "/files/none", "", [5]int{404, 404, 404, 404, 404}},
		{"GET", "/session", "", [5]int{400, 400, 400, 200, 200}},
		{"GET", "/listSessions", "", [5]int{400, 400, 400, 200, 200}},
		{"GET", "/metadata", "", [5]int{400, 400, 400, 200, 200}},
		{"DELETE", "/session", "", [5]int{400, 400, 400, 204, 204}},
		{"POST", "/python/execute", nestedBody, [5]int{400, 400, 400, 400, 400}},
		{"PATCH", "/session", "", [5]int{400, 400, 400, 400, 400}},
	} {
		for i, version := range versions {
			rig := newPoolRig(t, localazure.SessionPoolConfig{})
			rig.call(t, version, "GET", "/files", "") // so that there is a session
			response, answer := rig.call(t, version, tt.method, tt.operation, tt.body)
			if response.StatusCode != tt.status[i] {
				t.Errorf("%s %s in %s: %d %s, want %d", tt.method, tt.operation, version, response.StatusCode, answer, tt.status[i])
			}
			if tt.status[i] == http.StatusBadRequest && response.Header.Get("x-ms-error-code") != "SessionRequestNotSupported" {
				t.Errorf("%s %s in %s: %s, want SessionRequestNotSupported", tt.method, tt.operation, version, answer)
			}
		}
	}
}

// TestSessionPoolOtherShape has each version refuse the other ones' body.
func TestSessionPoolOtherShape(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	for version, tt := range map[string]struct{ operation, body string }{
		"2024-02-02-preview": {"/code/execute", flatBody},
		"2024-08-02-preview": {"/code/execute", flatBody},
		"2024-10-02-preview": {"/executions", nestedBody},
		"2025-02-02-preview": {"/executions", nestedBody},
		"2025-10-02-preview": {"/executions", nestedBody},
	} {
		response, answer := rig.call(t, version, "POST", tt.operation, tt.body)
		if response.StatusCode != http.StatusBadRequest || response.Header.Get("x-ms-error-code") != "SessionPropertiesMissing" {
			t.Errorf("%s: %d %s", version, response.StatusCode, answer)
		}
	}
	if rig.runs.Load() != 0 {
		t.Errorf("%d executions ran", rig.runs.Load())
	}
}

// TestSessionPoolNestedAnswers compares with an answer of the service that was
// published.
func TestSessionPoolNestedAnswers(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	response, answer := rig.call(t, "2024-02-02-preview", "POST", "/code/execute", nestedBody)
	if want := `{"$id":"1","properties":{"$id":"2","status":"Success","stdout":"","stderr":"","result":42,"executionTimeInMilliseconds":1}}` + "\n"; answer != want {
		t.Errorf("answer %s, want %s", answer, want)
	}
	if response.Header.Get("X-Ms-Session-Guid") == "" || response.Header.Get("Operation-Location") != "" {
		t.Errorf("headers %v", response.Header)
	}
	_, answer = rig.call(t, "2024-02-02-preview", "POST", "/code/execute", strings.Replace(nestedBody, "value 42", "raised Traceback", 1))
	mustHold(t, answer, `{"properties":{"status":"Failure","stderr":"Traceback","stdout":"before","result":""}}`)
	response, answer = rig.call(t, "2024-08-02-preview", "POST", "/code/execute", strings.Replace(nestedBody, "synchronous", "asynchronous", 1))
	if response.StatusCode != http.StatusBadRequest || response.Header.Get("x-ms-error-code") != "SessionRequestNotSupported" {
		t.Errorf("asynchronous: %d %s", response.StatusCode, answer)
	}
}

// TestSessionPoolVersionsShareSessions runs code in one version and reads what
// it left in another, as clients do that mix them.
func TestSessionPoolVersionsShareSessions(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	rig.call(t, "2024-02-02-preview", "POST", "/code/execute", strings.Replace(nestedBody, "value 42", "count", 1))
	_, answer := rig.call(t, "2025-10-02-preview", "POST", "/executions", strings.Replace(flatBody, "value 42", "count", 1))
	mustHold(t, answer, `{"result":{"executionResult":2}}`)
}

func TestSessionPoolWithoutIDs(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{WithoutIDs: true})
	rig.call(t, "2025-10-02-preview", "POST", "/executions", strings.Replace(flatBody, "value 42", "write a", 1))
	for _, tt := range []struct{ version, method, operation, body string }{
		{"2025-10-02-preview", "POST", "/executions", flatBody},
		{"2024-02-02-preview", "POST", "/code/execute", nestedBody},
		{"2024-02-02-preview", "GET", "/files", ""},
		{"2025-10-02-preview", "GET", "/files", ""},
		{"2025-10-02-preview", "GET", "/session", ""},
		{"2025-10-02-preview", "GET", "/listSessions", ""},
		{"2025-10-02-preview", "GET", "/metadata", ""},
	} {
		if response, answer := rig.call(t, tt.version, tt.method, tt.operation, tt.body); response.StatusCode != 200 || strings.Contains(answer, "$id") {
			t.Errorf("%s: %d %s", tt.operation, response.StatusCode, answer)
		}
	}
}
