package sessions

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNumber(t *testing.T) {
	for result, want := range map[string]float64{"4": 4, "-2.5e3": -2500, `"nan"`: math.NaN(), `"inf"`: math.Inf(1), `"-inf"`: math.Inf(-1)} {
		got, ok := (&Execution{Result: []byte(result)}).Number()
		if !ok || got != want && !math.IsNaN(want) || math.IsNaN(got) != math.IsNaN(want) {
			t.Errorf("Number() of %s = %v, %v", result, got, ok)
		}
	}
	for _, result := range []string{"", "null", `""`, `"4"`, `"'nan'"`, "[1]", `{"type":"image"}`, "true"} {
		if got, ok := (&Execution{Result: []byte(result)}).Number(); ok {
			t.Errorf("Number() of %s = %v", result, got)
		}
	}
}

func TestStr(t *testing.T) {
	for result, want := range map[string]string{
		`"''"`:                              "",
		`"'nan'"`:                           "nan",
		`"'ü \\n\\t\\\\ \\' \\x85\\u2028'"`: "ü \n\t\\ ' \u0085\u2028",
		`"'\\U0001f600\"'"`:                 "😀\"",
	} {
		if got, ok := (&Execution{Result: []byte(result)}).Str(); !ok || got != want {
			t.Errorf("Str() of %s = %q, %v; want %q", result, got, ok, want)
		}
	}
	for _, result := range []string{"", "null", "4", `"nan"`, `"'"`, `"'a"`, `"'a' 'b'"`, `"['a']"`, `"'\\'"`, `"'\\q'"`} {
		if got, ok := (&Execution{Result: []byte(result)}).Str(); ok {
			t.Errorf("Str() of %s = %q", result, got)
		}
	}
}

func TestIsNone(t *testing.T) {
	for result, want := range map[string]bool{"null": true, `""`: false, "": false, `"None"`: false} {
		if got := (&Execution{Result: []byte(result)}).IsNone(); got != want {
			t.Errorf("IsNone() of %s = %v", result, got)
		}
	}
}

func TestImage(t *testing.T) {
	e := Execution{Result: []byte(`{"type":"image","format":"png","base64_data":"iVBORw=="}`)}
	format, data, ok := e.Image()
	if !ok || format != "png" || !bytes.Equal(data, []byte("\x89PNG")) {
		t.Errorf("Image() = %q, %x, %v", format, data, ok)
	}
	for _, bad := range []string{`"x"`, `{"type":"image","base64_data":"!"}`, `{"type":"file"}`, ``} {
		if _, _, ok := (&Execution{Result: []byte(bad)}).Image(); ok {
			t.Errorf("Image() of %s is ok", bad)
		}
	}
}

func FuzzUnquote(f *testing.F) {
	for _, seed := range []string{"'a'", `'\x41\'`, "'", "''", `'\U0010ffff'`, "'\xff'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, repr string) {
		text, ok := unquote(repr)
		if ok && (len(repr) < 2 || !strings.HasPrefix(repr, "'") || utf8.RuneCountInString(text) > len(repr)-2) {
			t.Fatalf("unquote(%q) = %q", repr, text)
		}
	})
}
