package trigger

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func answer(status int, media, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(strings.NewReader(body))}
}

func TestJudge(t *testing.T) {
	const json = "application/json; charset=utf-8"
	for _, c := range []struct {
		name     string
		response *http.Response
		done     bool
	}{
		{"done", answer(200, json, `{"Outputs":{},"Logs":[],"ReturnValue":null}`), true},
		{"least", answer(200, json, `{}`), true},
		{"another 2xx", answer(202, json, " {}\n"), true},
		{"failed", answer(500, json, `{}`), false},
		{"redirected", answer(302, json, `{}`), false},
		{"text", answer(200, "text/plain; charset=utf-8", `{}`), false},
		{"problem", answer(200, "application/problem+json", `{}`), false},
		{"no type", answer(200, "", `{}`), false},
		{"array", answer(200, json, `[]`), false},
		{"not JSON", answer(200, json, `ok`), false},
	} {
		if err := judge(t.Context(), c.response); (err == nil) != c.done {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// An empty answer makes the host wait on.
func TestJudgeWaitsForAnAnswerThatIsNone(t *testing.T) {
	for _, body := range []string{"", " ", "null"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errTimeout)
			defer cancel()
			began := time.Now()
			if err := judge(ctx, answer(200, "application/json", body)); !errors.Is(err, errTimeout) {
				t.Errorf("answer %q: %v", body, err)
			}
			if took := time.Since(began); took != time.Minute {
				t.Errorf("answer %q: took %v", body, took)
			}
		})
	}
}
