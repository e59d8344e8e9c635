package app

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"keyless/handler/fault"
)

func FuzzDecodeJSON(f *testing.F) {
	for _, body := range []string{`{"message":"hello","stream":true}`, `{"message":1}`, `{"nope":[]}`, `[]`, `{"message":"a"}x`, `{`, ``, "null", `{"message":"\ud800"}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/api/chat", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		var got chatRequest
		err := decodeJSON(httptest.NewRecorder(), r, &got)
		if err == nil && !json.Valid([]byte(body)) {
			t.Errorf("took %q", body)
		}
		if err != nil && fault.From(err).Kind != fault.Invalid && fault.From(err).Kind != fault.TooLarge {
			t.Errorf("%q: %v", body, err)
		}
	})
}
