package demo

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// measure is one figure that can be asked of a list.
type measure struct {
	words  []string
	python string // of the list "values"
}

var measures = []measure{
	{[]string{"mean", "average", "avg"}, "statistics.mean(values)"},
	{[]string{"median"}, "statistics.median(values)"},
	{[]string{"mode"}, "statistics.mode(values)"},
	{[]string{"stdev", "stddev", "std", "deviation"}, "statistics.stdev(values)"},
	{[]string{"variance"}, "statistics.variance(values)"},
	{[]string{"sum", "total"}, "sum(values)"},
	{[]string{"product"}, "math.prod(values)"},
	{[]string{"min", "minimum", "smallest", "lowest"}, "min(values)"},
	{[]string{"max", "maximum", "largest", "biggest", "highest", "greatest"}, "max(values)"},
	{[]string{"sort", "sorted"}, "sorted(values)"},
	{[]string{"count", "len"}, "len(values)"},
}

// statisticWords is a pattern for the words that name a measure.
const statisticWords = `\b(?:mean|average|avg|median|mode|stdev|stddev|std|standard deviation|variance|sum|total|product|min|minimum|smallest|lowest|max|maximum|largest|biggest|highest|greatest|sort|sorted|count)\b`

// listTalk is what else may stand in a request for figures of a list. Any
// other word means that it is about something else.
var listTalk = strings.Fields("of for in the these this those them that it following numbers number values value list data dataset set and " +
	"a an are is what what's whats compute calculate find print show me give tell please using use python with standard population sample " +
	"ascending increasing descending decreasing order here i have now also same how many elements items you can & = : -")

var (
	listNumber = regexp.MustCompile(`^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$`)
	itWords    = []string{"it", "that", "this", "them", "those", "these"}
)

// valuesAgain is the variable that a request for figures leaves for the next.
const valuesAgain = "values"

func isListSign(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;[](){}|", r) }

// inventory is what a request for figures is made of.
type inventory struct {
	measures   []measure
	numbers    []string
	name       string // a variable that holds the list
	it         bool   // it speaks of the last value
	descending bool
}

// statistics gives figures of the numbers in the message, of a variable, or of
// the last list.
func statistics(a ask, _ []string) (script, bool) {
	found, ok := a.takeStock()
	source := found.source(a.memory)
	if !ok || len(found.measures) == 0 || source == "" {
		return script{}, false
	}
	return figures(found, source), true
}

// source is the Python for the list.
func (i inventory) source(m memory) string {
	switch {
	case len(i.numbers) > 0:
		return "[" + strings.Join(i.numbers, ", ") + "]"
	case i.name != "":
		return i.name
	case m.names[valuesAgain]:
		return valuesAgain
	case i.it:
		return m.it
	}
	return ""
}

// takeStock sorts the words of the message. It reports false at the first that
// has no place in a request for figures.
func (a ask) takeStock() (inventory, bool) {
	var found inventory
	for _, word := range strings.FieldsFunc(a.whole, isListSign) {
		word = strings.TrimRight(word, ".?!:")
		lower := strings.ToLower(word)
		i := slices.IndexFunc(measures, func(m measure) bool { return slices.Contains(m.words, lower) })
		switch {
		case word == "":
		case listNumber.MatchString(word):
			found.numbers = append(found.numbers, listLiteral(word))
		case a.memory.names[word] && found.name == "":
			found.name = word
		case i >= 0:
			if !slices.ContainsFunc(found.measures, func(m measure) bool { return m.python == measures[i].python }) {
				found.measures = append(found.measures, measures[i])
			}
		case slices.Contains(listTalk, lower):
			found.it = found.it || slices.Contains(itWords, lower)
			found.descending = found.descending || lower == "descending" || lower == "decreasing"
		default:
			return inventory{}, false
		}
	}
	return found, true
}

// listLiteral writes a number of a list as Python wants it.
func listLiteral(word string) string {
	if rest, negative := strings.CutPrefix(word, "-"); negative {
		return "-" + cleanNumber(rest)
	}
	return cleanNumber(strings.TrimPrefix(word, "+"))
}

// figures is the script for one measure, or for several in a dict.
func figures(wanted inventory, source string) script {
	var s script
	var all []string
	for _, m := range wanted.measures {
		s.value = m.python
		if wanted.descending && m.words[0] == "sort" {
			s.value = "sorted(values, reverse=True)"
		}
		s.lead = "The " + m.words[0] + " is"
		all = append(all, strconv.Quote(m.words[0])+": "+s.value)
	}
	switch {
	case len(all) > 1:
		s.value, s.lead = "{"+strings.Join(all, ", ")+"}", "The figures are"
	case wanted.measures[0].words[0] == "sort":
		s.lead = "Sorted they are"
	}
	for _, module := range []string{"math", "statistics"} {
		if strings.Contains(s.value, module+".") {
			s.setup += "import " + module + "\n"
		}
	}
	if source != valuesAgain {
		s.setup += valuesAgain + " = " + source
	}
	s.setup = strings.TrimSpace(s.setup)
	return s
}
