package localazure

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"keyless/handler/localazure/python"
)

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "a.b": true, "-_ .@$&=;,#%^()": true, "データ.csv": true, "ñ": true, strings.Repeat("x", 255): true,
		"": false, ".": false, "..": false, "a/b": false, `a\b`: false, "a?b": false, "a*b": false, "a+b": false,
		"a:b": false, "a'b": false, "[x]": false, "a\nb": false, "a\x00b": false, "\xff": false, "😀": false, strings.Repeat("x", 256): false,
	} {
		if got := validName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

// FuzzReadDir shows that no path leads out of the session's files.
func FuzzReadDir(f *testing.F) {
	for _, query := range []string{"", "/mnt/data", "/mnt/data/a/b", "a//b", "..", "/mnt/data/../x", "a/./b", "ü"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		dir, problem := readDir(query)
		if problem != nil {
			return
		}
		if at := (place{dir: dir}).inRoot(); at != dataDir && !strings.HasPrefix(at, dataDir+"/") || path.Clean(at) != at {
			t.Errorf("%q leads to %q", query, at)
		}
	})
}

// FuzzReadPoolRequest shows that whatever is sent is either understood, within
// the bounds, or refused in the service's manner.
func FuzzReadPoolRequest(f *testing.F) {
	for _, body := range []string{`{"codeInputType":"Inline","executionType":"Synchronous","code":"1"}`, `{"properties":{"code":"1"}}`, `{"code":1}`, `[]`, `null`, ``, `{"timeoutInSeconds":1e3}`, `{"shellCommand":null}`} {
		for i := range poolVersions {
			f.Add(body, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, body string, version uint8) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		q, problem := readPoolRequest(&poolCall{w: httptest.NewRecorder(), r: r, version: poolVersions[int(version)%len(poolVersions)]})
		switch {
		case problem != nil && problem.status != http.StatusBadRequest && problem.status != http.StatusRequestEntityTooLarge:
			t.Errorf("%q: %+v", body, problem)
		case problem == nil && (q.timeout <= 0 || q.timeout > maxPoolRun || q.maxChars <= 0 || q.maxChars > maxPoolChars || len(q.code) > maxPoolCode):
			t.Errorf("%q: %+v", body, q)
		}
	})
}

// FuzzCut compares with the plain way to cut a text.
func FuzzCut(f *testing.F) {
	f.Add("aüb", 2)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || !utf8.ValidString(s) {
			return
		}
		runes := []rune(s)
		if got, want := cut(s, n), string(runes[:min(n, len(runes))]); got != want {
			t.Errorf("cut(%q, %d) is %q, want %q", s, n, got, want)
		}
	})
}

func TestEncodeValueOfNone(t *testing.T) {
	none := "None"
	for printed, want := range map[string]string{"": "null", "x\n": `""`} {
		if got := string(encodeValue(python.Outcome{Value: &none, Stdout: printed})); got != want {
			t.Errorf("None after printing %q is sent as %s, want %s", printed, got, want)
		}
	}
}

func TestUnlessGone(t *testing.T) {
	_, gone := fstest.MapFS{}.Open("none")
	other := errors.New("other")
	if unlessGone("a", gone) != nil || unlessGone(".", gone) == nil || unlessGone("a", other) == nil {
		t.Error("only an entry that has gone may be passed over")
	}
}
