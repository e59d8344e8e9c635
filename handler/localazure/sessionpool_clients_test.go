package localazure_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyless/handler/localazure"
)

// foreignClient is a session client that others wrote: what it sends, and what
// of the answers it reads. The calls are on one session, one after the other.
type foreignClient struct {
	name     string
	source   string // where its code is, which says what it sends
	audience string // of its token, unless its user has changed it
	calls    []foreignCall
}

// foreignCall is a request as it goes over the wire, and the answer that the
// service is known to give it.
type foreignCall struct {
	does, method, target string
	header               map[string]string
	body                 string
	status               int
	want                 string // JSON that the answer must hold; or, if it is not JSON, all of it; empty: anything
}

// TestForeignClients sends what the clients send, over a real connection. The
// code is in the words of [scriptedPython]; all else is theirs.
func TestForeignClients(t *testing.T) {
	for _, client := range append(nestedClients(), flatClients()...) {
		t.Run(client.name, func(t *testing.T) {
			rig := newPoolRig(t, localazure.SessionPoolConfig{})
			server := httptest.NewServer(rig)
			defer server.Close()
			token, err := rig.issuer.Mint(client.audience, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range client.calls {
				call.send(t, server.URL+poolPath, token)
			}
		})
	}
}

// send makes the call and checks its answer.
func (c foreignCall) send(t *testing.T, endpoint, token string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), c.method, endpoint+c.target, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		t.Fatalf("%s: %v", c.does, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != c.status {
		t.Errorf("%s: %d %s, %v; want %d", c.does, response.StatusCode, answer, err, c.status)
		return
	}
	switch {
	case strings.HasPrefix(c.want, "{"):
		mustHold(t, string(answer), c.want)
	case c.want != "" && string(answer) != c.want:
		t.Errorf("%s: %q, want %q", c.does, answer, c.want)
	}
}

// part returns a form with one part, whose lines of the header are given.
func part(boundary, content string, header ...string) string {
	return "--" + boundary + "\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n" + content + "\r\n--" + boundary + "--\r\n"
}

var (
	asJSON   = map[string]string{"Content-Type": "application/json"}
	wantFile = `{"value":[{"properties":{"filename":"data.csv","size":3}}]}`
)
