package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/handler/localazure/python"
)

// asProgram is set for a process that is to be the program and not its tests.
const asProgram = "SESSIONPOOL_AS_PROGRAM"

func TestMain(m *testing.M) {
	python.WorkerMain() // the program's, and so the tests', own binary is the worker
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// sharedCache keeps the compiled interpreter from one test run to the next.
const sharedCache = "../../../../.cache/python"

// invitation is what the program's first lines say.
type invitation struct {
	text     string
	endpoint string
	token    string
	base     string // scheme and host
	identity map[string]string
}

// readInvitation reads what the program prints, up to its last line.
func readInvitation(t *testing.T, stdout io.Reader) invitation {
	t.Helper()
	i := invitation{identity: map[string]string{}}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		i.text += line + "\n"
		if strings.HasPrefix(line, "http://127.0.0.1:") {
			i.endpoint = line
			i.base, _, _ = strings.Cut(line, "/subscriptions")
		}
		if token, ok := strings.CutPrefix(line, "TOKEN="); ok {
			i.token = token
		}
		if assignments, ok := strings.CutPrefix(line, "export "); ok {
			for assignment := range strings.FieldsSeq(assignments) {
				name, value, _ := strings.Cut(assignment, "=")
				i.identity[name] = value
			}
		}
		if strings.HasPrefix(line, "Ctrl-C") {
			return i
		}
	}
	t.Fatalf("the program ended after saying: %s", i.text)
	return i
}

// start runs the program in this process until the test ends, and then checks
// that it ended well and left no files behind.
func start(t *testing.T, args ...string) invitation {
	t.Helper()
	files := t.TempDir()
	t.Setenv("TMPDIR", files)
	ctx, cancel := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-port", "0", "-cache", sharedCache}, args...), w, &stderr)
		_ = w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil || stderr.Len() > 0 {
			t.Errorf("the program ended with %v and said %s", err, stderr.String())
		}
		if left, _ := filepath.Glob(filepath.Join(files, "sessionpool-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return readInvitation(t, stdout)
}

// call sends a request to the pool on the session test-1.
func (i invitation) call(t *testing.T, method, operation, contentType, body string) (*http.Response, string) {
	t.Helper()
	return i.do(t, method, i.endpoint+operation+"?api-version="+apiVersion+"&identifier=test-1", map[string]string{"Authorization": "Bearer " + i.token, "Content-Type": contentType}, body)
}

func (i invitation) do(t *testing.T, method, url string, header map[string]string, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	r.Host = header["Host"]
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

func TestOptions(t *testing.T) {
	for args, want := range map[string]string{
		"": "", "-port 0 -full 429 -cooldown 5m -token-lifetime 1h -max-sessions 3 -without-ids -v": "",
		"-full 500": "404 or 429", "-max-sessions 0": "at least 1", "-cooldown -1s": "more than none",
		"-token-lifetime 0": "more than none", "-nope": "not defined", "extra": "unexpected argument",
	} {
		_, err := parseOptions(strings.Fields(args), io.Discard)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", args, err, want)
		}
	}
}
