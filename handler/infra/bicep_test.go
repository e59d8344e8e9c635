package infra

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// declaration is a param, var, resource, module or output of a template.
type declaration struct {
	kind, name string
	of         string // a resource's type@version, a module's path, the type of a param or output
	existing   bool
	decorators string
	text       string // all after the name, without comments
	value      any    // nil: a param without a default
}

// A value is an object, a list, or else the source text of an expression.
type (
	object = map[string]any
	list   = []any
)

// template is a Bicep file.
type template struct {
	path         string
	declarations []declaration
}

// reader reads the part of Bicep that our templates use: no loops, no types, no
// multi-line strings and no declarations inside others. Anything else is an
// error, and so are a bracket or a quote that is not closed.
type reader struct {
	rest string
}

// comment is a line's or a block's, or a string, which may look like one.
var comment = regexp.MustCompile(`'(?:\\.|[^'\\\n])*'|//[^\n]*|(?s:/\*.*?\*/)`)

var header = regexp.MustCompile(`^(targetScope|(?:param|var|resource|module|output) +(\w+)) *('[^'\n]*'|\w+)?( existing)?[ ]*`)

// open returns all templates, by their path inside the folder infra.
func open(t *testing.T) map[string]template {
	t.Helper()
	templates := map[string]template{}
	for _, path := range files(t) {
		if filepath.Ext(path) != ".bicep" {
			continue
		}
		source, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			t.Fatal(err)
		}
		declarations, err := read(string(source))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		templates[path] = template{path, declarations}
	}
	return templates
}

func read(source string) (all []declaration, err error) {
	r := &reader{uncommented(source)}
	defer func() {
		if problem := recover(); problem != nil {
			all, err = nil, fmt.Errorf("%v, before %q", problem, clip(r.rest))
		}
	}()
	for r.space(); r.rest != ""; r.space() {
		all = append(all, r.declaration())
	}
	return all, nil
}

// uncommented returns source without its comments.
func uncommented(source string) string {
	return comment.ReplaceAllStringFunc(source, func(s string) string {
		if strings.HasPrefix(s, "'") {
			return s
		}
		return ""
	})
}

func clip(s string) string { return s[:min(len(s), 40)] }

func (r *reader) space() { r.rest = strings.TrimLeft(r.rest, " \t\r\n") }

func (r *reader) accept(token string) bool {
	r.space()
	rest, found := strings.CutPrefix(r.rest, token)
	r.rest = rest
	return found
}

func (r *reader) declaration() (d declaration) {
	for r.rest[0] == '@' {
		d.decorators += r.expression() + "\n"
		r.space()
	}
	m := header.FindStringSubmatch(r.rest)
	if m == nil {
		panic("no declaration")
	}
	start := r.rest
	kind, _, _ := strings.Cut(m[1], " ")
	d.kind, d.name, d.of, d.existing = kind, m[2], strings.Trim(m[3], "'"), m[4] != ""
	r.rest = r.rest[len(m[0]):]
	if strings.HasPrefix(r.rest, "=") {
		r.accept("=")
		if r.accept("if ") {
			r.enclosed()
		}
		d.value = r.value()
	}
	if line, _, _ := strings.Cut(r.rest, "\n"); strings.TrimSpace(line) != "" {
		panic("more than a declaration on the line")
	}
	d.text = strings.TrimPrefix(start[:len(start)-len(r.rest)], m[0])
	return d
}

func (r *reader) value() any {
	r.space()
	switch {
	case r.accept("{"):
		return r.object()
	case r.accept("["):
		all := list{}
		if r.accept("for ") {
			panic("a loop")
		}
		for !r.accept("]") {
			all = append(all, r.value())
			r.accept(",")
		}
		return all
	}
	return r.expression()
}

var key = regexp.MustCompile(`^(?:(\w+)|'([^']+)')\s*:`)

func (r *reader) object() object {
	all := object{}
	for !r.accept("}") {
		m := key.FindStringSubmatch(r.rest)
		if m == nil {
			panic("no property")
		}
		name := m[1] + m[2]
		if _, twice := all[name]; twice {
			panic("a second property " + name)
		}
		r.rest = r.rest[len(m[0]):]
		all[name] = r.value()
		r.accept(",")
	}
	return all
}

// expression reads to the end of the line, or to what ends the value before,
// brackets and strings taken whole.
func (r *reader) expression() string {
	start := r.rest
	for r.rest != "" && !strings.ContainsRune(",}])\n", rune(r.rest[0])) {
		switch r.rest[0] {
		case '\'':
			r.quoted()
		case '(', '[', '{':
			r.enclosed()
		default:
			r.rest = r.rest[1:]
		}
	}
	text := strings.TrimSpace(start[:len(start)-len(r.rest)])
	if text == "" {
		panic("no value")
	}
	return text
}

// enclosed reads from a bracket to the one that closes it.
func (r *reader) enclosed() {
	closing := map[byte]string{'(': ")", '[': "]", '{': "}"}[r.rest[0]]
	r.rest = r.rest[1:]
	for !r.accept(closing) {
		if !r.accept(",") && !r.accept(":") {
			r.expression()
		}
	}
}

// quoted reads a string, with the expressions in it.
func (r *reader) quoted() {
	for r.rest = r.rest[1:]; !strings.HasPrefix(r.rest, "'"); {
		switch {
		case r.rest == "" || r.rest[0] == '\n':
			panic("a string is not closed")
		case strings.HasPrefix(r.rest, "${"):
			r.rest = r.rest[1:]
			r.enclosed()
		case r.rest[0] == '\\':
			r.rest = r.rest[min(2, len(r.rest)):]
		default:
			r.rest = r.rest[1:]
		}
	}
	r.rest = r.rest[1:]
}

// at returns what is at a dotted path in a value; nil if nothing is.
func at(value any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		properties, _ := value.(object)
		value = properties[name]
	}
	return value
}

// get returns the declaration of a kind and name.
func (t template) get(tt *testing.T, kind, name string) declaration {
	tt.Helper()
	for _, d := range t.declarations {
		if d.kind == kind && d.name == name {
			return d
		}
	}
	tt.Fatalf("%s has no %s %s", t.path, kind, name)
	return declaration{}
}

// names returns the names of a kind's declarations.
func (t template) names(kind string) (all []string) {
	for _, d := range t.declarations {
		if d.kind == kind {
			all = append(all, d.name)
		}
	}
	return all
}

// The reader itself refuses what is not closed, or what it does not know.
func TestReader(t *testing.T) {
	for _, bad := range []string{
		"param", "var a = {", "var a = [1", "var a = 'x", "var a = f(1", "var a = f(1))", "var a = '${b'", "var a = 1 }", "var a = { b }",
		"var a = {\n  b: 1\n  b: 2\n}", "resource r 'T@1' = {\n  p: (\n}", "var a = [for x in y: x]", "type t = string", "@description('x'\nvar a = 1",
	} {
		if got, err := read(bad); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
	got, err := read("// c\n@allowed(['a', 'b'])\nparam p string = 'a//b'\nresource r 'T@1' = if (f(p)) {\n  a: { b: '${p}}' } // d\n  c: [1, 2]\n}\n")
	if err != nil || len(got) != 2 || got[0].value != "'a//b'" || got[1].of != "T@1" || at(got[1].value, "a.b") != "'${p}}'" || len(at(got[1].value, "c").(list)) != 2 {
		t.Errorf("read %+v, %v", got, err)
	}
}
