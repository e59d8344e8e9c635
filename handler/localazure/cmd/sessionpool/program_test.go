package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// result runs code and returns what its last expression is, as JSON.
func (i invitation) result(t *testing.T, code string) string {
	t.Helper()
	return string(i.execution(t, code, 10).Result.ExecutionResult)
}

type execution struct {
	ID, Status string
	Result     struct {
		Stdout, Stderr  string
		ExecutionResult json.RawMessage
	}
}

func (i invitation) execution(t *testing.T, code string, seconds int) execution {
	t.Helper()
	body := fmt.Sprintf(`{"codeInputType":"Inline","executionType":"Synchronous","code":%q,"timeoutInSeconds":%d}`, code, seconds)
	response, answer := i.call(t, http.MethodPost, "/executions", "application/json", body)
	var x execution
	if err := json.Unmarshal([]byte(answer), &x); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s", code, response.StatusCode, answer)
	}
	return x
}

// TestProgram uses the program as its user would, with real Python.
func TestProgram(t *testing.T) {
	pool := start(t)

	t.Run("keeps variables", func(t *testing.T) {
		pool.execution(t, "x = 6", 10)
		if got := pool.result(t, "x * 7"); got != "42" {
			t.Errorf("result %s, want 42", got)
		}
		if x := pool.execution(t, "print(x)\nx / 0", 10); x.Status != "Failed" || x.Result.Stdout != "6\n" || !strings.Contains(x.Result.Stderr, "ZeroDivisionError") {
			t.Errorf("%+v", x)
		}
	})
	t.Run("shares files with the code", func(t *testing.T) {
		const form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.csv\"\r\n\r\n1,2\r\n--b--\r\n"
		if response, answer := pool.call(t, http.MethodPost, "/files", "multipart/form-data; boundary=b", form); response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, answer)
		}
		pool.execution(t, "import os\nos.mkdir('/mnt/data/out')\nopen('/mnt/data/out/copy.csv', 'w').write(open('/mnt/data/in.csv').read() * 2)", 10)
		response, content := pool.do(t, http.MethodGet, pool.endpoint+"/files/copy.csv/content?path=out&identifier=test-1&api-version="+apiVersion, map[string]string{"Authorization": "Bearer " + pool.token}, "")
		if content != "1,21,2" {
			t.Errorf("%d %q", response.StatusCode, content)
		}
	})
	t.Run("ends code in time", func(t *testing.T) {
		x := pool.execution(t, "y = 1\nwhile True: pass", 1)
		if !strings.HasPrefix(x.Result.Stderr, "Request timed out waiting for code execution to complete after 1 seconds\n") || x.Status != "Failed" {
			t.Errorf("%+v", x)
		}
		if got := pool.result(t, "y"); got != "1" {
			t.Errorf("a variable is %s after a timeout, want 1", got)
		}
	})
	t.Run("forgets a session that is deleted", func(t *testing.T) {
		pool.call(t, http.MethodDelete, "/session", "", "")
		if x := pool.execution(t, "y", 10); !strings.Contains(x.Result.Stderr, "NameError") {
			t.Errorf("%+v", x)
		}
	})
	t.Run("prints a curl command that works", func(t *testing.T) { runCurl(t, pool) })
	t.Run("gives tokens as App Service does", func(t *testing.T) {
		_, answer := pool.do(t, http.MethodGet, pool.identity["IDENTITY_ENDPOINT"]+"?api-version=2019-08-01&resource=https://dynamicsessions.io", map[string]string{"X-IDENTITY-HEADER": pool.identity["IDENTITY_HEADER"]}, "")
		var token struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(answer), &token); err != nil || token.AccessToken == "" {
			t.Fatalf("%s, %v", answer, err)
		}
		other := pool
		other.token = token.AccessToken
		other.result(t, "1")
	})
	t.Run("answers to its own name alone", func(t *testing.T) {
		for host, status := range map[string]int{"evil.example": 403, "evil.example:80": 403, "127.0.0.1.evil.example": 403, "localhost:1": 200, "[::1]:1": 200, "127.0.0.1": 200} {
			response, answer := pool.do(t, http.MethodGet, pool.endpoint+"/metadata?api-version="+apiVersion, map[string]string{"Authorization": "Bearer " + pool.token, "Host": host}, "")
			if response.StatusCode != status {
				t.Errorf("%s: %d %s, want %d", host, response.StatusCode, answer, status)
			}
		}
	})
	t.Run("fails on purpose", func(t *testing.T) { failOnPurpose(t, pool) })
}

// runCurl runs the command that the program prints.
func runCurl(t *testing.T, pool invitation) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	_, command, _ := strings.Cut(pool.text, "\ncurl ")
	command, _, _ = strings.Cut(command, "\n\n")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "TOKEN="+pool.token+"\ncurl "+command).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"stdout":"63\n"`) {
		t.Errorf("%v: %s", err, out)
	}
}

func failOnPurpose(t *testing.T, pool invitation) {
	for body, status := range map[string]int{`{"status": 503, "retryAfterSeconds": 2, "times": 1}`: 204, `{"status": 99}`: 400, `{"typo": 1}`: 400, `x`: 400} {
		if response, answer := pool.do(t, http.MethodPut, pool.base+"/fault", nil, body); response.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", body, response.StatusCode, answer, status)
		}
	}
	response, answer := pool.call(t, http.MethodGet, "/files", "", "")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "2" || !strings.Contains(answer, "traceId") {
		t.Errorf("%d %s", response.StatusCode, answer)
	}
	if response, answer := pool.call(t, http.MethodGet, "/files", "", ""); response.StatusCode != http.StatusOK {
		t.Errorf("the fault outlasts its times: %d %s", response.StatusCode, answer)
	}
	pool.do(t, http.MethodPut, pool.base+"/fault", nil, `{"status": 500}`)
	pool.do(t, http.MethodDelete, pool.base+"/fault", nil, "")
	if response, answer := pool.call(t, http.MethodGet, "/files", "", ""); response.StatusCode != http.StatusOK {
		t.Errorf("the fault was not cleared: %d %s", response.StatusCode, answer)
	}
}

func TestProgramFull(t *testing.T) {
	pool := start(t, "-max-sessions", "1", "-full", "429", "-without-ids")
	if response, answer := pool.call(t, http.MethodGet, "/files", "", ""); response.StatusCode != http.StatusOK || strings.Contains(answer, "$id") {
		t.Errorf("%d %s", response.StatusCode, answer)
	}
	response, answer := pool.do(t, http.MethodGet, pool.endpoint+"/files?identifier=another-1&api-version="+apiVersion, map[string]string{"Authorization": "Bearer " + pool.token}, "")
	if response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("%d %s, want 429", response.StatusCode, answer)
	}
}

// TestProgramInterrupted has the program as a process of its own, and stops it
// as Ctrl-C does while code runs.
func TestProgramInterrupted(t *testing.T) {
	files := t.TempDir()
	program := exec.CommandContext(t.Context(), os.Args[0], "-port", "0", "-cache", sharedCache)
	program.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+files)
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	pool := readInvitation(t, stdout)
	pool.execution(t, "1", 10)
	response, answer := pool.call(t, http.MethodPost, "/executions", "application/json", `{"codeInputType":"Inline","executionType":"Asynchronous","code":"while True: pass"}`)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, answer)
	}
	if err := program.Process.Signal(os.Interrupt); err != nil {
		t.Skip(err) // there is no such signal on Windows
	}
	if err := program.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(files, "sessionpool-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
