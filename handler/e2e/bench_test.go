package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"keyless/handler/localazure"
	"keyless/handler/localazure/python"
)

// BenchmarkTurn times a turn of two model calls and one execution, alone and
// one after the other: through the handler, and as the three bare HTTP calls
// that it makes. The difference is what the agent adds.
func BenchmarkTurn(b *testing.B) {
	az := newAzureWith(b, localazure.PlannerFunc(runs), localazure.SessionPoolConfig{MaxSessions: 1 << 20,
		Start: func(context.Context, string) (localazure.PythonSession, error) { return instant{}, nil }})
	h := startHandler(b, az.env)
	b.Run("handler", func(b *testing.B) {
		for b.Loop() {
			resp, err := h.open(context.Background(), proxied, "POST", "/api/chat", `{"message": "run 6 * 7"}`)
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 {
				b.Fatalf("%v %s", err, body)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		bare := newBare(b, az)
		for n := 0; b.Loop(); n++ {
			bare.turn(b, fmt.Sprintf("bare-session-%d", n%10))
		}
	})
}

// instant is a Python that takes no time.
type instant struct{}

func (instant) Run(context.Context, python.Request) (python.Outcome, error) {
	value := "42"
	return python.Outcome{Ending: python.Completed, Value: &value}, nil
}

func (instant) Close() error { return nil }

// bare makes the calls of a turn with net/http and encoding/json alone.
type bare struct{ model, pool, modelToken, poolToken string }

func newBare(b *testing.B, az *azure) *bare {
	token := func(audience string) string {
		req, _ := http.NewRequest("GET", az.env["IDENTITY_ENDPOINT"]+"?api-version=2019-08-01&resource="+audience, nil)
		req.Header.Set("X-IDENTITY-HEADER", az.env["IDENTITY_HEADER"])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		var body struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			b.Fatal(err)
		}
		return body.AccessToken
	}
	return &bare{model: az.env["AZURE_OPENAI_ENDPOINT"] + "/openai/v1/responses", pool: az.env["AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT"],
		modelToken: token("https://cognitiveservices.azure.com"), poolToken: token("https://dynamicsessions.io")}
}

func (n *bare) post(b *testing.B, url, token string, body any) map[string]any {
	data, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	req, err := http.NewRequest("POST", url, strings.NewReader(string(data)))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode >= 300 {
		b.Fatalf("%s: %d %v %v", url, resp.StatusCode, answer, err)
	}
	return answer
}

func (n *bare) turn(b *testing.B, session string) {
	user := map[string]any{"role": "user", "content": "run 6 * 7"}
	tools := []any{map[string]any{"type": "function", "name": "run_python", "strict": true, "parameters": json.RawMessage(
		`{"type":"object","properties":{"code":{"type":"string"}},"required":["code"],"additionalProperties":false}`)}}
	ask := func(input ...any) []any {
		return n.post(b, n.model, n.modelToken, map[string]any{"model": "model", "store": false, "input": input, "tools": tools,
			"include": []string{"reasoning.encrypted_content"}})["output"].([]any)
	}
	output := ask(user)
	call := output[len(output)-1].(map[string]any)
	n.post(b, n.pool+"/executions?api-version=2025-10-02-preview&identifier="+session, n.poolToken,
		map[string]any{"codeInputType": "Inline", "executionType": "Synchronous", "code": "6 * 7", "timeoutInSeconds": 60})
	ask(append(append([]any{user}, output...), map[string]any{"type": "function_call_output", "call_id": call["call_id"], "output": "42"})...)
}
