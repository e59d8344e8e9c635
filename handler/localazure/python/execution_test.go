package python

import (
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "",
		"plain":            "plain",
		"é":                "é",
		"aé"[:2]:           "a",
		"a😀"[:4]:           "a",
		"é"[1:] + "b":      "b",
		"😀"[2:] + "b":      "b",
		"a\xffb":           "a\uFFFDb",
		"\xff":             "\uFFFD",
		"ends \xff":        "ends \uFFFD",
		"\x80\x80\x80\x80": "\uFFFD",
	} {
		if got := text([]byte(in)); got != want {
			t.Errorf("text(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestWithEnd(t *testing.T) {
	for _, c := range []struct {
		s, end string
		limit  int
		want   string
	}{
		{"abc", "xyz", 10, "abcxyz"},
		{"abc", "xyz", 5, "abxyz"},
		{"aé", "xyz", 5, "axyz"},
		{"abc", "xyz", 3, "xyz"},
		{"abc", "xyz", 2, "yz"},
		{"abc", "xéz", 2, "az"},
		{"abc", "xyz", 0, ""},
	} {
		if got := withEnd(c.s, c.end, c.limit); got != c.want {
			t.Errorf("withEnd(%q, %q, %d) is %q, want %q", c.s, c.end, c.limit, got, c.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("aé\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := text(b)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not valid", got)
		}
		if utf8.Valid(b) && got != string(b) {
			t.Errorf("valid text %q became %q", b, got)
		}
	})
}
