package demo

import (
	"strings"
	"testing"
)

func TestReadOutput(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       output
	}{
		{"all of it", "status: succeeded\nstdout:\na\nb\nstderr:\nc\nresult:\n4", output{status: "succeeded", stdout: "a\nb\n", stderr: "c\n", result: "4"}},
		{"no sections", "status: succeeded\n", output{status: "succeeded"}},
		{"a cause", "status: failed (timed out)\nstdout:\na", output{status: "failed", cause: "timed out", stdout: "a"}},
		{"a note", "status: succeeded\nstdout:\na\n[5 bytes left out]\nb", output{status: "succeeded", stdout: "a\nb", cut: true}},
		{"a heading out of order is text", "status: succeeded\nresult:\n1\nstdout:\n2", output{status: "succeeded", result: "1\nstdout:\n2"}},
		{"empty lines are kept", "status: succeeded\r\nstdout:\r\na\n\nb", output{status: "succeeded", stdout: "a\n\nb"}},
		{"rejected", "error: no code", output{reason: "no code"}},
		{"odd", "hm", output{reason: "hm"}},
		{"empty", "", output{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := readOutput(test.text); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestException(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"last line":         {"status: failed (raised)\nstderr:\nTraceback\n  f()\nValueError: no", "ValueError: no"},
		"with a note":       {"status: failed (raised)\nstderr:\nValueError: no\nsome note", "ValueError: no"},
		"a class of theirs": {"status: failed (raised)\nstderr:\nTraceback\nBoom: no", "Boom: no"},
		"heading cut away":  {"status: failed (raised)\nstdout:\na\n[9 bytes left out]\nKeyError: 1", "KeyError: 1"},
		"nothing":           {"status: failed (raised)", ""},
	} {
		if got := readOutput(test.text).exception(); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestShorten(t *testing.T) {
	lines := strings.Repeat("line\n", 100)
	if got := shorten(lines); strings.Count(got, "\n") != maxQuotedLines || !strings.HasSuffix(got, "\n[… 350 bytes more]") {
		t.Errorf("got %q", got)
	}
	wide := "x" + strings.Repeat("ä", 2000)
	if got := shorten(wide); len(got) > maxQuotedBytes+30 || !strings.HasPrefix(wide, strings.TrimSuffix(got, "\n[… 2502 bytes more]")) {
		t.Errorf("got %q", got)
	}
	if got := shorten("short\n"); got != "short\n" {
		t.Errorf("got %q", got)
	}
}

func FuzzReadOutput(f *testing.F) {
	f.Add("status: succeeded\nstdout:\na\nresult:\n1")
	f.Add("error: no")
	f.Fuzz(func(t *testing.T, text string) {
		out := readOutput(text)
		if n := len(out.stdout) + len(out.stderr) + len(out.result) + len(out.reason); n > len(text) {
			t.Errorf("%q: more out than in: %+v", text, out)
		}
		out.exception()
	})
}
