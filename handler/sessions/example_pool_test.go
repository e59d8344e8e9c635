package sessions_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"keyless/handler/sessions"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// examplePool is a pool for the examples, with fixed answers. A program has
// the pool's endpoint and a credential in place of it: see ExampleNew.
func examplePool(options *sessions.Options) (pool *sessions.Client, done func()) {
	mux := http.NewServeMux()
	for pattern, answer := range exampleAnswers {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("X-Ms-Session-Guid", "pod-1")
			w.Header().Set("X-Ms-Overall-Execution-Time", "12")
			_, _ = io.WriteString(w, answer)
		})
	}
	var asked atomic.Int32
	mux.HandleFunc("GET /executions/e1", func(w http.ResponseWriter, _ *http.Request) {
		answer := `{"id":"e1","status":"Running"}`
		if asked.Add(1) > 1 {
			answer = exampleAnswers["POST /executions"]
		}
		_, _ = io.WriteString(w, answer)
	})
	mux.HandleFunc("DELETE /session", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewServer(mux)
	pool, err := sessions.New(server.URL, exampleCredential{}, options)
	if err != nil {
		log.Fatal(err)
	}
	return pool, server.Close
}

var exampleAnswers = map[string]string{
	"POST /executions":          `{"id":"e1","status":"Succeeded","result":{"stdout":"hello\n","stderr":"","executionResult":42,"executionTimeInMilliseconds":7}}`,
	"POST /files":               `{"name":"sales.csv","type":"file","sizeInBytes":8,"directory":"in"}`,
	"GET /files":                `{"value":[{"name":"in","type":"directory","directory":""},{"name":"sales.csv","type":"file","sizeInBytes":8,"directory":"in"}]}`,
	"GET /files/{name}/content": "a,b\n1,2\n",
	"GET /listSessions":         `{"sessions":[{"identifier":"one-1","expireAt":"2026-01-02T03:09:05Z"},{"identifier":"two-2","expireAt":"2026-01-02T03:14:05Z"}]}`,
	"GET /metadata":             `{"runtimes":[{"name":"Python","version":"3.12.7"}],"preInstalledPackages":[{"name":"numpy","version":"1.26.4"},{"name":"pandas","version":"2.2.2"}]}`,
	"POST /v1/greet":            "hello from the container",
}

type exampleCredential struct{}

func (exampleCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// show prints err, or nothing.
func show(err error) {
	if err != nil {
		fmt.Println("error:", err)
	}
}
