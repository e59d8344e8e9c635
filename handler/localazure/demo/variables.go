package demo

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
)

func assign(a ask, groups []string) (script, bool) { return a.assignment(groups[1], groups[2]) }

func assignTo(a ask, groups []string) (script, bool) { return a.assignment(groups[2], groups[1]) }

// assignment is the script that gives a variable a value and shows it.
func (a ask) assignment(name, value string) (script, bool) {
	if !usableName(name) {
		return script{}, false
	}
	s, ok := a.valueOf(value)
	if !ok || s.reply != "" {
		return s, ok
	}
	s.setup = strings.TrimPrefix(s.setup+"\n", "\n") + name + " = " + s.value
	s.value, s.lead = name, "`"+name+"` is now"
	return s, true
}

var (
	wholeQuote = regexp.MustCompile("^(?:'([^']*)'|\"([^\"]*)\"|“([^”]*)”)$")
	listMarks  = regexp.MustCompile(`^[\[(]|[\])]$`)
	listCommas = regexp.MustCompile(`\s*(?:,\s*(?:and\s+)?|;|\band\b)\s*`)
)

// valueOf is the script whose value a variable is to get: a quoted text, a
// list, or whatever a formula gives.
func (a ask) valueOf(text string) (script, bool) {
	if m := wholeQuote.FindStringSubmatch(text); m != nil && !a.cut {
		return script{value: strconv.Quote(firstGroup(m))}, true
	}
	if list, ok := a.list(text); ok && !a.cut {
		return script{value: list}, true
	}
	b := a.about(text)
	s, ok := firstOf(formulas, b, b.core)
	return s, ok && (s.value != "" || s.reply != "")
}

// list reads "[1, 2, 3]", "3, 5 and 8" and lists of quoted texts.
func (a ask) list(text string) (string, bool) {
	inner := listMarks.ReplaceAllString(text, "")
	parts := listCommas.Split(inner, -1)
	if len(parts) < 2 && inner == text {
		return "", false
	}
	for i, part := range parts {
		if m := wholeQuote.FindStringSubmatch(part); m != nil {
			parts[i] = strconv.Quote(firstGroup(m))
			continue
		}
		e, ok := parseExpression(part, scope{names: a.memory.names})
		if !ok || e.noIt || e.math {
			return "", false
		}
		parts[i] = e.python
	}
	return "[" + strings.Join(parts, ", ") + "]", true
}

// separators part a message into steps. A comma and an "and" mean other things
// too: they count only after an assignment.
var separators = []struct {
	pattern     *regexp.Regexp
	assignFirst bool
}{
	{matching(`\s*(?:;|[.?!](?:\s|$)|,?\s+(?:and\s+)?then\s|,?\s+and\s|,\s)\s*`), true},
	{matching(`\s*(?:;|[.?!](?:\s|$)|,?\s+(?:and\s+)?then\s)\s*`), false},
}

// sequence understands a message of several steps: "let x = 12 and y = 5; what
// is x * y", "what is 12 * 12, then double it".
func sequence(a ask) (script, bool) {
	for _, s := range separators {
		steps := s.pattern.Split(a.text, -1)
		if len(steps) < 2 || a.cut {
			continue
		}
		if whole, ok := a.inSteps(steps, s.assignFirst); ok {
			return whole, true
		}
	}
	return script{}, false
}

// inSteps joins the scripts of the steps. What one step makes, the next ones
// may refer to.
func (a ask) inSteps(steps []string, assignFirst bool) (script, bool) {
	a.memory.names = maps.Clone(a.memory.names)
	var setups []string
	for i, text := range steps {
		s, ok := a.step(text)
		made := namesBy(assignment, s.setup)
		switch {
		case !ok || s.reply != "" || i == 0 && assignFirst && len(made) == 0:
			return script{}, false
		case i == len(steps)-1:
			s.setup = strings.Trim(strings.Join(append(setups, s.setup), "\n"), "\n")
			return s, true
		case len(made) == 0 || made[len(made)-1] != s.value:
			// "_" is set between runs only, so that a value in passing needs a name.
			s.setup, s.value = strings.TrimPrefix(s.setup+"\n", "\n")+"result = "+s.value, "result"
			made = append(made, s.value)
		}
		for _, name := range made {
			a.memory.names[name] = true
		}
		a.memory.it = s.value
		setups = append(setups, s.setup)
	}
	return script{}, false
}

// step understands one step of a sequence.
func (a ask) step(text string) (script, bool) {
	a = a.about(ending.ReplaceAllString(courtesy.ReplaceAllString(text, ""), ""))
	if s, ok := firstOf(assignments, a, a.text); ok {
		return s, true
	}
	return firstOf(formulas, a, a.core)
}
