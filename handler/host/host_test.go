package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"keyless/handler/host"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestListenOnTheHostsPort(t *testing.T) {
	for _, name := range []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"} {
		l, err := host.Listen(env(name, "0"))
		if err != nil {
			t.Fatal(err)
		}
		if addr := l.Addr().(*net.TCPAddr); !addr.IP.IsLoopback() {
			t.Errorf("listens on %v, want loopback", addr)
		}
		l.Close()
	}
	if _, err := host.Listen(env()); err == nil || !strings.Contains(err.Error(), "FUNCTIONS_CUSTOMHANDLER_PORT") {
		t.Errorf("without a port: %v", err)
	}
	if _, err := host.Listen(env("FUNCTIONS_CUSTOMHANDLER_PORT", "70000")); err == nil {
		t.Error("port 70000 was accepted")
	}
}

func TestServeAnswersThePingAndStops(t *testing.T) {
	l, err := host.Listen(env("FUNCTIONS_CUSTOMHANDLER_PORT", "0"))
	if err != nil {
		t.Fatal(err)
	}
	entered, left := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- host.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
			close(left)
		}), slog.New(slog.DiscardHandler))
	}()
	base := "http://" + l.Addr().String()
	ping, err := http.Get(base + "/")
	if err != nil || ping.StatusCode != 200 {
		t.Fatalf("GET / = %v, %v", ping, err)
	}
	go func() {
		if resp, err := http.Get(base + "/api/slow"); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	stop()
	<-left // a request in flight is canceled
	if err := <-done; err != nil {
		t.Errorf("Serve = %v after a clean stop", err)
	}
}

func TestCallOf(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Azure-Functions-InvocationId", "0f1e-2d")
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	c := host.CallOf(r)
	if c.InvocationID != "0f1e-2d" || c.Traceparent == "" {
		t.Errorf("CallOf = %+v", c)
	}
	r.Header.Set("X-Azure-Functions-InvocationId", "evil\nline")
	r.Header.Set("Traceparent", "<script>")
	c = host.CallOf(r)
	if len(c.InvocationID) < 20 || strings.Contains(c.InvocationID, "evil") || c.Traceparent != "" {
		t.Errorf("CallOf took malformed headers: %+v", c)
	}
}

func TestLogSplitsByLevelAndNamesTheInvocation(t *testing.T) {
	var out, errs bytes.Buffer
	log := host.NewLog(&out, &errs, slog.LevelInfo)
	ctx := host.With(t.Context(), host.Call{InvocationID: "i-1", Traceparent: "tp"})
	log.DebugContext(ctx, "hidden")
	log.With("a", 1).InfoContext(ctx, "fine")
	log.WarnContext(ctx, "odd")
	log.ErrorContext(ctx, "bad")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"invocation_id":"i-1"`) || !strings.Contains(got, `"traceparent":"tp"`) {
		t.Errorf("stdout = %q", got)
	}
	for line := range strings.Lines(errs.String()) {
		if isWarn := strings.Contains(strings.ToLower(line), "warn"); isWarn != strings.Contains(line, "odd") {
			t.Errorf("the host would take the severity of this line wrong: %s", line)
		}
	}
	if strings.Count(errs.String(), "\n") != 2 {
		t.Errorf("stderr = %q", errs.String())
	}
}

// The payloads are as a host sends them; see testdata/README.md.
func TestDecodeEnvelope(t *testing.T) {
	for _, name := range []string{"double.json", "single.json", "raw.json"} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open("testdata/" + name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			e, err := host.DecodeEnvelope(f)
			if err != nil {
				t.Fatal(err)
			}
			body, err := e.Message("msg")
			if err != nil || string(body) != `{"job":"42"}` {
				t.Errorf("Message = %q, %v", body, err)
			}
			if n, ok := e.Int("DeliveryCount"); !ok || n != 3 {
				t.Errorf("DeliveryCount = %d, %v", n, ok)
			}
			if id := e.Text("MessageId"); id != "7f42" {
				t.Errorf("MessageId = %q", id)
			}
			want := time.Date(2023, 10, 12, 20, 13, 49, 0, time.UTC)
			for _, key := range []string{"EnqueuedTimeUtc", "EnqueuedTime"} {
				if at, ok := e.Time(key); !ok || !at.Equal(want) {
					t.Errorf("%s = %v, %v", key, at, ok)
				}
			}
			if _, ok := e.Time("LockToken"); ok {
				t.Error("a lock token passed for a time")
			}
			if _, err := e.Message("other"); err == nil {
				t.Error("a binding that is not there was found")
			}
		})
	}
}

func TestDecodeEnvelopeRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "not JSON": "<html>", "array": "[]", "cut": `{"Data":{"msg":`,
		"too big": `{"Data":{"msg":"` + strings.Repeat("x", host.MaxEnvelope) + `"}}`,
	} {
		if _, err := host.DecodeEnvelope(strings.NewReader(body)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWriteDoneIsWhatTheHostCompletesOn(t *testing.T) {
	w := httptest.NewRecorder()
	host.WriteDone(w)
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q", got)
	}
	var reply struct {
		Outputs map[string]any
		Logs    []string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || reply.Outputs == nil || w.Code != 200 {
		t.Errorf("reply = %d %s, %v", w.Code, w.Body, err)
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	for _, name := range []string{"double.json", "single.json", "raw.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := host.DecodeEnvelope(bytes.NewReader(data))
		if err != nil {
			return
		}
		for name := range e.Data {
			body, err := e.Message(name)
			if err == nil && !json.Valid(e.Data[name]) {
				t.Errorf("Message took invalid JSON: %q", body)
			}
		}
		for name := range e.Metadata {
			e.Text(name)
			e.Int(name)
			e.Time(name)
		}
	})
}
