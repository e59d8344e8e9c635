package sessions

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// What the service makes of a value follows one rule, as far as was seen: it
// is Python's repr, decoded where it happens to be JSON. So 4 is 4, None is
// null and no value is "", but nan is the text "nan", and the str 'nan' the
// text "'nan'" with its quotes.

// IsNone reports whether the result is Python's None, which is not the same as
// no value.
func (e *Execution) IsNone() bool { return bytes.Equal(e.Result, []byte("null")) }

// ResultText returns the result as Python would show it, empty for no value
// and for an image.
func (e *Execution) ResultText() string {
	var text string
	if _, _, image := e.Image(); image || len(e.Result) == 0 {
		return ""
	}
	if e.IsNone() {
		return "None"
	}
	if json.Unmarshal(e.Result, &text) == nil {
		return text
	}
	return string(e.Result)
}

// Number returns the result if it is an int or a float, NaN and the infinities
// among them. An int beyond 2^53 is rounded; [Execution.Result] has its digits.
func (e *Execution) Number() (float64, bool) {
	var number float64
	if !e.IsNone() && json.Unmarshal(e.Result, &number) == nil {
		return number, true
	}
	switch e.ResultText() {
	case "nan":
		return math.NaN(), true
	case "inf":
		return math.Inf(1), true
	case "-inf":
		return math.Inf(-1), true
	}
	return 0, false
}

// Str returns the result if it is a Python str, without its quotes and
// escapes. A str whose repr is in double quotes, because it holds a single
// one, cannot be told from other text, and is found by [Execution.ResultText]
// alone.
func (e *Execution) Str() (string, bool) {
	return unquote(e.ResultText())
}

// Image returns the image that the code showed, if it showed one: the format,
// such as "png", and the file's bytes.
func (e *Execution) Image() (format string, data []byte, ok bool) {
	if !bytes.HasPrefix(e.Result, []byte("{")) {
		return "", nil, false
	}
	var image struct {
		Type   string `json:"type"`
		Format string `json:"format"`
		Base64 string `json:"base64_data"`
	}
	if json.Unmarshal(e.Result, &image) != nil || image.Type != "image" {
		return "", nil, false
	}
	data, err := base64.StdEncoding.DecodeString(image.Base64)
	return image.Format, data, err == nil
}

// unquote reads the repr of a str in single quotes. Python's escapes are Go's,
// but that Go has none for the other quote.
func unquote(repr string) (string, bool) {
	inner, ok := strings.CutPrefix(repr, "'")
	if !ok {
		return "", false
	}
	inner, ok = strings.CutSuffix(inner, "'")
	var b strings.Builder
	for ok && inner != "" {
		if inner[0] == '\'' { // the end of one of several
			return "", false
		}
		var r rune
		var err error
		r, _, inner, err = strconv.UnquoteChar(inner, '\'')
		b.WriteRune(r)
		ok = err == nil
	}
	return b.String(), ok
}
