package demo

import (
	"regexp"
	"slices"
)

// rewrite puts an expression for a way of speaking, before it is parsed. What it
// puts together is text still: the parser has the last word.
type rewrite struct {
	pattern *regexp.Regexp
	to      string
}

// phrasings are rewritten wherever they stand.
var phrasings = []rewrite{
	{matching(`^(.+?) ?(?:%|percent) off (.+)$`), `($2) * (1 - ($1) / 100)`},
	{matching(`^(\w+) choose (\w+)$`), `comb($1, $2)`},
	{matching(`^(\d+)(?:st|nd|rd|th) root of (.+)$`), `($2) ^ (1 / $1)`},
	{matching(`\b(\w+) to the (\d+)(?:st|nd|rd|th)(?: power)?$`), `$1 ^ $2`},
}

// openings begin with a word of their own, one after the other. They do not
// apply where that is the name of a variable.
var openings = []rewrite{
	{matching(`^its (.+)$`), `$1 of it`},
	{matching(`^(?:plus|times|minus|divided by|multiplied by|squared|cubed|raised to|to the power|over|mod|[+*/^×÷])(?:\b|\s|\d).*$|^(?:squared|cubed)$`), `it $0`},
	{matching(`^add (.+) (?:to|and) (.+)$`), `($2) + ($1)`},
	{matching(`^add (.+)$`), `it + ($1)`},
	{matching(`^(?:subtract|take away|take) (.+) from (.+)$`), `($2) - ($1)`},
	{matching(`^(?:subtract|take away) (.+)$`), `it - ($1)`},
	{matching(`^multiply (.+) (?:by|and|with) (.+)$`), `($1) * ($2)`},
	{matching(`^multiply (?:by )?(.+)$`), `it * ($1)`},
	{matching(`^divide (.+) (?:by|in|into) (.+)$`), `($1) / ($2)`},
	{matching(`^divide (?:by )?(.+)$`), `it / ($1)`},
	{matching(`^double (.+)$`), `2 * ($1)`},
	{matching(`^triple (.+)$`), `3 * ($1)`},
	{matching(`^halve (.+)$`), `($1) / 2`},
	{matching(`^(?:square|take the square of|square of) (it|that|this|[A-Za-z_]\w*|-?[\d.]+)$`), `($1) ^ 2`},
	{matching(`^(?:cube|cube of) (it|that|this|[A-Za-z_]\w*|-?[\d.]+)$`), `($1) ^ 3`},
	{matching(`^negate (.+)$`), `-($1)`},
	{matching(`^take (.+)$`), `$1`},
	{matching(`^(?:the )?(?:square|cube) root$`), `$0 of it`},
	{matching(`^raise (.+) to (?:the power (?:of )?)?(.+)$`), `($1) ^ ($2)`},
	{matching(`^(?:increase|raise) (.+) by (.+?) ?(?:%|percent)$`), `($1) * (1 + ($2) / 100)`},
	{matching(`^(?:decrease|reduce|lower) (.+) by (.+?) ?(?:%|percent)$`), `($1) * (1 - ($2) / 100)`},
	{matching(`^product of (.+) and (.+)$`), `($1) * ($2)`},
	{matching(`^sum of (.+) and (.+)$`), `($1) + ($2)`},
	{matching(`^difference (?:between|of) (.+) and (.+)$`), `($1) - ($2)`},
	{matching(`^quotient of (.+) and (.+)$`), `($1) / ($2)`},
	{matching(`^remainder (?:of|when) (.+?)(?: is)? divided by (.+)$`), `($1) mod ($2)`},
	{matching(`^log(?:arithm)? base (\w+) of (.+)$`), `logb($2, $1)`},
}

var firstName = regexp.MustCompile(`^[A-Za-z_]\w*`)

// hyphenated finds words such as "covid-19", which are no differences.
var hyphenated = regexp.MustCompile(`[A-Za-z]{2,}[-/]\w`)

var printed = matching(`^print (?:the )?(?:value of )?` + variable + `$`)

// arithmetic computes an expression in symbols or words.
func arithmetic(a ask, _ []string) (script, bool) {
	if a.cut {
		return script{}, false
	}
	e, ok := a.expression(a.core)
	if m := printed.FindStringSubmatch(a.text); !ok && m != nil && usableName(m[1]) {
		e, ok = expression{python: m[1]}, true // not known, but the interpreter may know it
	}
	switch {
	case !ok:
		return script{}, false
	case e.noIt:
		return script{reply: nothingToGoOn}, true
	}
	s := script{value: e.python, lead: leadFor(e.python)}
	if e.math {
		s.setup = "import math"
	}
	return s, true
}

// expression parses text, put into another form where a rewrite applies.
func (a ask) expression(text string) (expression, bool) {
	rewrites := phrasings
	if !a.memory.names[firstName.FindString(text)] {
		rewrites = slices.Concat(openings, phrasings)
	}
	for _, r := range rewrites {
		text = r.pattern.ReplaceAllString(text, r.to)
	}
	s := a.scope()
	s.loose = !hyphenated.MatchString(text)
	return parseExpression(text, s)
}

// leadFor begins the sentence for an expression's value. One that speaks of
// the last value, "_" in Python, would say nothing to a reader.
func leadFor(python string) string {
	if lastValueName.MatchString(python) {
		return "The result is"
	}
	return "`" + python + "` is"
}

var lastValueName = regexp.MustCompile(`\b_\b`)
