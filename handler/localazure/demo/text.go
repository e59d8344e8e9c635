package demo

import (
	"regexp"
	"strconv"
	"strings"
)

// textFacts are what can be asked of a text; %s is the text.
var textFacts = []struct {
	pattern *regexp.Regexp
	python  string
	lead    string
}{
	{matching(`\bpalindrome\b`), `(lambda s: s == s[::-1])("".join(filter(str.isalnum, %s.lower())))`, "Is it a palindrome?"},
	{matching(`\brevers`), `%s[::-1]`, "Reversed it is"},
	{matching(`\bupper ?case\b|\bcapital letters\b`), `%s.upper()`, "In capitals it is"},
	{matching(`\blower ?case\b|\bsmall letters\b`), `%s.lower()`, "In small letters it is"},
	{matching(`\bcapitali[sz]e\b`), `%s.title()`, "Capitalized it is"},
	{matching(`\b(?:most|frequen\w+)\b.*\bwords?\b`), `__import__("collections").Counter(%s.lower().split()).most_common(5)`, "The most frequent words are"},
	{matching(`\bwords?\b`), `len(%s.split())`, "The number of words is"},
	{matching(`\blines?\b`), `len(%s.splitlines())`, "The number of lines is"},
	{matching(`\bletters?\b`), `sum(map(str.isalpha, %s))`, "The number of letters is"},
	{matching(`\b(?:characters?|length)\b`), `len(%s)`, "The number of characters is"},
}

var afterColon = regexp.MustCompile(`(?s)^[^:]{3,120}:\s+(.+)$`)

// textFact answers a question about a quoted text, or about one after a colon.
func textFact(a ask, _ []string) (script, bool) {
	subject, ok := a.quotedText()
	if !ok {
		m := afterColon.FindStringSubmatch(a.whole)
		if m == nil {
			return script{}, false
		}
		subject = m[1]
	}
	for _, fact := range textFacts {
		if fact.pattern.MatchString(a.text) {
			return script{value: strings.Replace(fact.python, "%s", strconv.Quote(subject), 1), lead: fact.lead}, true
		}
	}
	return script{}, false
}
