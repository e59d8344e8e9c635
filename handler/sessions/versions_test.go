package sessions_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyless/handler/sessions"
)

const oldSucceeded = `{"$id":"1","properties":{"$id":"2","status":"Success","stdout":"hello\n","stderr":"","result":2,"executionTimeInMilliseconds":33}}`

// serveVersion is serve for a client of that api-version.
func serveVersion(t *testing.T, version string, answer http.HandlerFunc) *sessions.Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	o := quick()
	o.APIVersion = version
	return newClient(t, server.URL+poolPath, o)
}

func TestShapes(t *testing.T) {
	for version, tt := range map[string]struct{ path, body, answer string }{
		"2024-02-02-preview": {"/code/execute", `{"properties":{"codeInputType":"inline","executionType":"synchronous","code":"2","timeoutInSeconds":220}}`, oldSucceeded},
		"2024-08-02-preview": {"/code/execute", `{"properties":{"codeInputType":"inline","executionType":"synchronous","code":"2","timeoutInSeconds":220}}`, oldSucceeded},
		"2024-10-02-preview": {"/executions", `{"codeInputType":"Inline","executionType":"Synchronous","code":"2","timeoutInSeconds":220}`, succeeded},
		"2025-02-02-preview": {"/executions", `{"codeInputType":"Inline","executionType":"Synchronous","code":"2","timeoutInSeconds":220}`, succeeded},
		"2025-10-02-preview": {"/executions", `{"codeInputType":"Inline","executionType":"Synchronous","code":"2","timeoutInSeconds":220,"outputStreamsMaxLength":99}`, succeeded},
		"2027-01-01":         {"/executions", `{"codeInputType":"Inline","executionType":"Synchronous","code":"2","timeoutInSeconds":220,"outputStreamsMaxLength":99}`, succeeded},
	} {
		t.Run(version, func(t *testing.T) {
			client := serveVersion(t, version, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.URL.Path != poolPath+tt.path || string(body) != tt.body || r.URL.Query().Get("api-version") != version {
					t.Errorf("request %s with %s", r.URL, body)
				}
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, tt.answer)
			})
			e, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "2", MaxStreamChars: 99})
			if err != nil || e.ResultText() != "2" || e.Status != sessions.Succeeded {
				t.Errorf("Execute = %+v, %v", e, err)
			}
		})
	}
}

func TestUnsupported(t *testing.T) {
	fail := func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked for", r.URL.Path) }
	first, third, fourth := serveVersion(t, "2024-08-02-preview", fail), serveVersion(t, "2024-10-02-preview", fail), serveVersion(t, "2025-02-02-preview", fail)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"start": func() error {
			_, err := first.StartExecution(ctx, identifier, sessions.ExecuteRequest{Code: "1"})
			return err
		},
		"get": func() error { _, err := first.GetExecution(ctx, identifier, "e1"); return err },
		"directory": func() error {
			_, err := first.Upload(ctx, identifier, "dir/a.txt", strings.NewReader(""), nil)
			return err
		},
		"download":  func() error { _, err := first.Download(ctx, identifier, "dir/a.txt", nil); return err },
		"session":   func() error { _, err := third.GetSession(ctx, identifier); return err },
		"delete":    func() error { return third.DeleteSession(ctx, identifier) },
		"list":      func() error { return listError(third.ListSessions(ctx)) },
		"metadata":  func() error { _, err := third.Metadata(ctx); return err },
		"recursive": func() error { return listError(fourth.ListFiles(ctx, identifier, "", true)) },
		"forward":   func() error { _, err := fourth.Forward(identifier, httptest.NewRequest("GET", "/", nil)); return err },
	} {
		if err := call(); !errors.Is(err, sessions.ErrUnsupported) {
			t.Errorf("%s: error %v, want ErrUnsupported", name, err)
		}
	}
}

func TestVersionIsChecked(t *testing.T) {
	for _, version := range []string{"latest", "2023-08-01-preview", "2025-10-02-preview&x=y"} {
		o := &sessions.Options{}
		o.APIVersion = version
		if _, err := sessions.New("https://eastus.dynamicsessions.io", &tokens{}, o); err == nil {
			t.Errorf("%s is taken", version)
		}
	}
}

const propertiesMissing = `{"error":{"code":"SessionPropertiesMissing","message":"m","traceId":"t1"}}`

// TestOtherShape has a pool that wants the shape of the other versions, as
// Microsoft's own example for 2025-10-02-preview has it.
func TestOtherShape(t *testing.T) {
	var shapes []string
	client := serveVersion(t, "", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&body)
		if body["properties"] == nil {
			shapes = append(shapes, "flat")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, propertiesMissing)
			return
		}
		shapes = append(shapes, "wrapped")
		_, _ = io.WriteString(w, oldSucceeded)
	})
	for range 2 {
		if e, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "2"}); err != nil || e.ResultText() != "2" {
			t.Fatalf("Execute = %+v, %v", e, err)
		}
	}
	if got := strings.Join(shapes, " "); got != "flat wrapped wrapped" {
		t.Errorf("sent %s", got)
	}
}

func TestNeitherShape(t *testing.T) {
	client, count := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, strings.Replace(propertiesMissing, "t1", []string{"", "t1", "t2"}[n], 1))
	})
	_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "2"})
	if e, ok := errors.AsType[*sessions.Error](err); !ok || e.TraceID != "t1" || !strings.Contains(e.Hint, "Python") || count.Load() != 2 {
		t.Errorf("error %+v after %d requests", err, count.Load())
	}
}
