package identity

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever the endpoint answers, the message stays one short line.
func FuzzReadRefusal(f *testing.F) {
	f.Add(`{"statusCode":400,"message":"No identity.","correlationId":"1"}`, "5")
	f.Add(`{"error":"invalid_request","error_description":"Identity\r\nnot found"}`, "-1")
	f.Add(`{"message":"`+strings.Repeat("é", 400)+`"}`, "99999999999")
	f.Add("<html>", "Fri, 31 Dec 1999 23:59:59 GMT")
	f.Fuzz(func(t *testing.T, body, retryAfter string) {
		said := readRefusal(&http.Response{
			Header: http.Header{"Retry-After": {retryAfter}},
			Body:   io.NopCloser(strings.NewReader(body)),
		})
		if len(said.text) > refusalText+8 || strings.ContainsAny(said.text, "\r\n\t") || !utf8.ValidString(said.text) {
			t.Errorf("text is %q", said.text)
		}
		if said.retryAfter < 0 {
			t.Errorf("retryAfter is %v", said.retryAfter)
		}
	})
}
