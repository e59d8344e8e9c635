package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// handler is a running binary with the Functions host played by the test.
type handler struct {
	cmd     *exec.Cmd
	base    string
	dir     string        // where it keeps conversations
	stopped chan struct{} // closed once it has exited
	stdout  *lines
	stderr  *lines
}

// startHandler starts the deployed binary on env and waits for its first
// answer to GET /, as the host does.
func startHandler(t testing.TB, env map[string]string) *handler {
	t.Helper()
	h := launch(t, deployedBinary, env)
	h.waitReady(t)
	return h
}

// launch starts a binary with nothing in its environment but env and a port.
func launch(t testing.TB, binary string, env map[string]string) *handler {
	t.Helper()
	all := map[string]string{"FUNCTIONS_CUSTOMHANDLER_PORT": freePort(t), "AGENT_STORAGE_DIR": t.TempDir(), "HOME": t.TempDir()}
	maps.Copy(all, env)
	h := &handler{cmd: exec.Command(binary), base: "http://127.0.0.1:" + all["FUNCTIONS_CUSTOMHANDLER_PORT"], dir: all["AGENT_STORAGE_DIR"],
		stopped: make(chan struct{}), stdout: &lines{}, stderr: &lines{}}
	for name, value := range all {
		h.cmd.Env = append(h.cmd.Env, name+"="+value)
	}
	h.cmd.Stdout, h.cmd.Stderr = h.stdout, h.stderr
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = h.cmd.Wait() // the exit code is in ProcessState
		close(h.stopped)
	}()
	t.Cleanup(func() {
		h.kill()
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", h.stdout, h.stderr)
		}
		if strings.Contains(h.stderr.String(), "DATA RACE") {
			t.Errorf("a data race:\n%s", h.stderr)
		}
	})
	return h
}

func (h *handler) kill() {
	_ = h.cmd.Process.Kill()
	<-h.stopped
}

// waitReady pings as the host does, each 25 ms.
func (h *handler) waitReady(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := http.Get(h.base + "/"); err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-h.stopped:
			t.Fatalf("the binary exited with %d before it was ready:\n%s", h.cmd.ProcessState.ExitCode(), h.stderr)
		case <-ctx.Done():
			t.Fatal("the binary did not answer GET / in 30 s")
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// mode is how the host hands over an HTTP request.
type mode struct {
	name    string
	headers map[string]string
}

var (
	// proxied: the request as it came, headers set by the host's proxy.
	proxied = mode{"proxied", map[string]string{"X-Azure-Functions-Invocationid": "11111111-2222-3333-4444-555555555555",
		"X-Ms-Invocation-Id": "11111111-2222-3333-4444-555555555555", "X-Azure-Functions-Hostversion": "4.1047.100",
		"X-Forwarded-Host": "localhost:7071", "X-Forwarded-Proto": "http", "X-Functions-Key": "s3cr3t-function-key",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	// forwarded: rebuilt by the host, whole, with a length.
	forwarded = mode{"forwarded", map[string]string{"X-Azure-Functions-Invocationid": "11111111-2222-3333-4444-555555555555",
		"X-Azure-Functions-Hostversion": "4.36.0", "User-Agent": "Azure-Functions-Host/4.36.0", "X-Functions-Key": "s3cr3t-function-key"}}
)

// answer is an HTTP answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// field returns a field of the JSON body.
func (a answer) field(name string) any {
	var fields map[string]any
	_ = json.Unmarshal(a.body, &fields)
	return fields[name]
}

func (a answer) text(name string) string { return fmt.Sprint(a.field(name)) }

// send makes a request with the host's headers.
func (h *handler) send(t *testing.T, m mode, method, path, body string, headers ...string) answer {
	t.Helper()
	resp, err := h.open(t.Context(), m, method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

func (h *handler) open(ctx context.Context, m mode, method, path, body string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range m.headers {
		req.Header.Set(name, value)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return http.DefaultClient.Do(req)
}

// chat sends one message.
func (h *handler) chat(t *testing.T, message, conversation string) answer {
	t.Helper()
	body, err := json.Marshal(map[string]string{"message": message, "conversation_id": conversation})
	if err != nil {
		t.Fatal(err)
	}
	return h.send(t, proxied, "POST", "/api/chat", string(body))
}

// stored returns how many conversations the handler keeps.
func (h *handler) stored(t *testing.T) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(h.dir, func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".json") {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lines gathers what a process writes.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
