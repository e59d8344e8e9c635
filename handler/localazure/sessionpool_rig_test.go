package localazure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyless/handler/localazure"
	"keyless/handler/localazure/python"
	"keyless/handler/sessions"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const poolPath = "/subscriptions/s/resourceGroups/g/sessionPools/p"

// scriptedPython is a Python that does what the name of the code says. Its
// variables are one number, which "count" raises.
type scriptedPython struct {
	rig   *poolRig
	dir   string
	count int
}

func (s *scriptedPython) Run(ctx context.Context, r python.Request) (python.Outcome, error) {
	s.rig.runs.Add(1)
	s.rig.running.Add(1)
	defer s.rig.running.Add(-1)
	outcome := python.Outcome{Ending: python.Completed, Duration: time.Millisecond}
	word, rest, _ := strings.Cut(r.Code, " ")
	switch word {
	case "count":
		s.count++
		outcome.Value = new(fmt.Sprint(s.count))
	case "value":
		outcome.Value = &rest
	case "print":
		outcome.Stdout = strings.Repeat("ü", min(5000, r.MaxStreamBytes/2))
	case "write": // a file, with its path as the content
		name := filepath.Join(s.dir, rest)
		return outcome, errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(rest), 0o600))
	case "limit":
		outcome.Value = new(fmt.Sprint(r.Timeout.Seconds()))
	case "block":
		s.rig.blocked <- struct{}{}
		select {
		case outcome.Ending = <-s.rig.endings:
			return outcome, nil
		case <-ctx.Done():
			return outcome, ctx.Err()
		}
	case "break":
		return outcome, errors.New("no interpreter")
	default: // an ending, with what was printed before
		outcome.Ending, outcome.Stdout, outcome.Stderr = python.Ending(word), "before", rest
	}
	return outcome, nil
}

func (s *scriptedPython) Close() error {
	s.rig.closed.Add(1)
	return nil
}

// poolRig is a pool with scripted Python behind it.
type poolRig struct {
	*localazure.SessionPool
	issuer                         *localazure.Issuer
	dir                            string
	started, closed, runs, running atomic.Int32
	blocked                        chan struct{}      // gets one for each "block" that began
	endings                        chan python.Ending // ends a "block"
}

func newPoolRig(t *testing.T, config localazure.SessionPoolConfig) *poolRig {
	t.Helper()
	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	rig := &poolRig{issuer: issuer, dir: t.TempDir(), blocked: make(chan struct{}, 10), endings: make(chan python.Ending)}
	config.Issuer, config.Dir = issuer, rig.dir
	config.Start = func(_ context.Context, dir string) (localazure.PythonSession, error) {
		rig.started.Add(1)
		return &scriptedPython{rig: rig, dir: dir}, nil
	}
	rig.SessionPool = localazure.NewSessionPool(config)
	return rig
}

// GetToken makes a rig a credential for any audience.
func (p *poolRig) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := p.issuer.Mint(strings.TrimSuffix(o.Scopes[0], "/.default"), time.Hour)
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, err
}

// Do makes a rig a transport without a network, for tests on a fake clock.
func (p *poolRig) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

// client returns a client that goes through the network.
func (p *poolRig) client(t *testing.T, change ...func(*sessions.Options)) *sessions.Client {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p.clientAt(t, server.URL+poolPath, change...)
}

func (p *poolRig) clientAt(t *testing.T, endpoint string, change ...func(*sessions.Options)) *sessions.Client {
	t.Helper()
	var o sessions.Options
	o.Retry.RetryDelay = time.Millisecond
	for _, f := range change {
		f(&o)
	}
	client, err := sessions.New(endpoint, p, &o)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// inProcess returns a client without a network.
func (p *poolRig) inProcess(t *testing.T) *sessions.Client {
	return p.clientAt(t, "https://local.dynamicsessions.io"+poolPath, func(o *sessions.Options) { o.Transport = p })
}

func run(t *testing.T, client *sessions.Client, identifier, code string) *sessions.Execution {
	t.Helper()
	execution, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: code})
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	return execution
}

// directories returns how many sessions have one.
func (p *poolRig) directories(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// post sends body to /executions with a good token and returns the answer.
func (p *poolRig) post(t *testing.T, body string) (*http.Response, string) {
	t.Helper()
	return p.request(t, http.MethodPost, poolPath+"/executions?api-version=2025-10-02-preview&identifier=one-1", "https://dynamicsessions.io", body)
}

func (p *poolRig) request(t *testing.T, method, target, audience, body string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	token, err := p.issuer.Mint(audience, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	answer, _ := io.ReadAll(w.Result().Body)
	return w.Result(), string(answer)
}
