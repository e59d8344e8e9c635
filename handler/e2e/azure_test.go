package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"keyless/handler/localazure"
)

// azure is what the tests' binaries find at the other end of the wire.
type azure struct {
	tokens *localazure.Identity
	openai *localazure.OpenAI
	pool   *localazure.SessionPool
	env    map[string]string

	mu    sync.Mutex
	calls []string // "POST /openai/v1/responses https://cognitiveservices.azure.com"
}

// newAzure starts the services, with planner for a model and real Python.
func newAzure(t testing.TB, planner localazure.Planner) *azure {
	t.Helper()
	return newAzureWith(t, planner, localazure.SessionPoolConfig{
		Start: func(ctx context.Context, dir string) (localazure.PythonSession, error) { return engine.Start(ctx, dir) }})
}

// newAzureWith starts the services, with a session pool as pool says.
func newAzureWith(t testing.TB, planner localazure.Planner, pool localazure.SessionPoolConfig) *azure {
	t.Helper()
	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	pool.Issuer, pool.Dir = issuer, t.TempDir()
	a := &azure{
		tokens: localazure.NewIdentity(issuer),
		openai: localazure.NewOpenAI(localazure.OpenAIConfig{Deployments: []string{"model"}, Planner: planner, Issuer: issuer, Reasoning: true}),
		pool:   localazure.NewSessionPool(pool),
	}
	t.Cleanup(func() { _ = a.pool.Close() })
	a.env = a.tokens.Env(a.serve(t, a.tokens))
	a.env["AZURE_OPENAI_ENDPOINT"] = a.serve(t, a.openai)
	a.env["AZURE_OPENAI_DEPLOYMENT"] = "model"
	a.env["AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT"] = a.serve(t, a.pool) + "/subscriptions/s/resourceGroups/g/sessionPools/p"
	a.env["SESSION_POOL_AUDIENCE"] = "https://dynamicsessions.io/.default"
	return a
}

// serve serves h and notes each call of it with its token's audience.
func (a *azure) serve(t testing.TB, h http.Handler) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if i := strings.Index(path, "/sessionPools/"); i >= 0 {
			path = "pool" + path[i+len("/sessionPools/p"):]
		}
		a.mu.Lock()
		a.calls = append(a.calls, strings.TrimSpace(r.Method+" "+path+" "+audience(r)))
		a.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// take returns the calls since the last take.
func (a *azure) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = nil
	return calls
}

// audience returns the aud of a request's token, or for a request to the
// identity endpoint the resource that it asks for.
func audience(r *http.Request) string {
	if resource := r.URL.Query().Get("resource"); resource != "" {
		return resource
	}
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	if len(parts) != 3 {
		return ""
	}
	var claims struct {
		Audience string `json:"aud"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Audience
}

// runs is a planner that runs the code in the user's last message, if it
// begins with "run ", and answers with what came of it.
func runs(_ context.Context, t localazure.Transcript) (localazure.Plan, error) {
	last := t.Entries[len(t.Entries)-1]
	code, isCode := strings.CutPrefix(last.User, "run ")
	switch {
	case isCode:
		arguments, err := json.Marshal(map[string]string{"code": code})
		return localazure.Plan{Calls: []localazure.ToolCall{{Name: "run_python", Arguments: string(arguments)}}}, err
	case last.Output != nil:
		return localazure.Plan{Text: "It says: " + last.Output.Text}, nil
	}
	return localazure.Plan{Text: "You said: " + last.User}, nil
}

// endSessions ends all sessions of the pool, as their cooldown would.
func (a *azure) endSessions(t *testing.T) {
	t.Helper()
	if err := a.pool.Close(); err != nil {
		t.Fatal(err)
	}
}
