package demo

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

var (
	domain   = matching(`^(.+?),? (?:from|between|for x (?:from|in|between)|over|with x from|on)(?: x ?=)? ?\[?(\S+(?: ?\* ?\S+)?) ?(?:to|and|\.\.\.?|,) ?(\S+?(?: ?\* ?\S+?)?)\]?$`)
	leftSide = regexp.MustCompile(`^(?:y|f\(x\)) ?= ?`)
)

// curves are functions that have a name.
var curves = map[string]string{
	"sin": "sin(x)", "sine": "sin(x)", "sine wave": "sin(x)", "sine curve": "sin(x)",
	"cos": "cos(x)", "cosine": "cos(x)", "cosine wave": "cos(x)", "tan": "tan(x)", "tangent": "tan(x)",
	"parabola": "x^2", "cubic": "x^3", "hyperbola": "1/x", "exponential": "exp(x)", "logarithm": "ln(x)", "sqrt": "sqrt(x)",
}

const plotNote = "The drawing is the file `plot.svg` of this conversation. " +
	"The local interpreter has no matplotlib, which the real service would use; so plain Python wrote an SVG."

// plot draws a list of numbers, a list that a variable holds, or a function of x.
func plot(a ask, groups []string) (script, bool) {
	what := strings.TrimSpace(groups[1])
	if points, ok := a.plotList(what); ok {
		return drawing("list(enumerate("+points+", 1))", what)
	}
	from, to := "-10", "10"
	if m := domain.FindStringSubmatch(what); m != nil {
		left, ok1 := parseExpression(m[2], a.scope())
		right, ok2 := parseExpression(m[3], a.scope())
		if !ok1 || !ok2 || left.noIt || right.noIt {
			return script{}, false
		}
		what, from, to = m[1], left.python, right.python
	}
	what = leftSide.ReplaceAllString(what, "")
	f, ok := a.functionOfX(cmp.Or(curves[strings.ToLower(what)], what))
	if !ok {
		return script{}, false
	}
	return drawing(fmt.Sprintf("sample(lambda x: %s, %s, %s)", f, from, to), f)
}

// plotList returns the Python for the numbers to plot, if what is a list, the
// name of a variable, or the last value.
func (a ask) plotList(what string) (string, bool) {
	if a.cut {
		return "", false
	}
	if list, ok := a.list(what); ok {
		return list, true
	}
	if words := strings.Fields(what); len(words) > 2 && !strings.Contains(what, "x") {
		if list, ok := a.list(strings.Join(words, ", ")); ok {
			return list, true
		}
	}
	e, ok := parseExpression(what, a.scope())
	return e.python, ok && !e.noIt && (a.memory.names[e.python] || e.python == a.memory.it)
}

// functionOfX reads an expression in which x is free.
func (a ask) functionOfX(text string) (string, bool) {
	names := maps.Clone(a.memory.names)
	names["x"] = true
	e, ok := parseExpression(text, scope{names: names})
	return e.python, ok && !e.noIt && e.python != ""
}

// drawing is the script that draws points.
func drawing(points, title string) (script, bool) {
	return script{
		setup: strings.TrimSpace(plotPy) + "\n\n\ndraw(" + points + ", " + strconv.Quote(title) + ")",
		lead:  "I drew it",
		note:  plotNote,
	}, true
}
