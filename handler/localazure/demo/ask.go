package demo

import (
	"cmp"
	"regexp"
	"strings"
	"unicode/utf8"
)

// ask is a message made ready for the skills.
type ask struct {
	whole  string // the message as it came
	text   string // the beginning of it, on one line, without courtesies
	core   string // text without "what is", "compute" and the like
	cut    bool   // text is not all of the message
	memory memory
}

// maxAsk is how many bytes of a message the patterns look at. What is wanted
// stands at the beginning; looking no further keeps the longest message cheap.
const maxAsk = 400

var (
	lineBreaks = regexp.MustCompile(`\s*\n\s*`)
	courtesy   = matching(`^(?:(?:hi|hello|hey|ok|okay|great|thanks|now|then|and|so|also|next|please|kindly|(?:can|could|would|will) you|i(?: want|'d like| would like)(?: you)? to|let's|use (?:the )?(?:python|code interpreter|interpreter|run_python)(?: tool)?(?: to|:)?|(?:using|in|with) python|run (?:some )?(?:python|code)(?: code)?(?: to)|write (?:some )?(?:python|code)(?: code)?(?: to| that))(?:\s*[,:;!]\s*|\s+))+`)
	question   = matching(`^(?:(?:what(?:'s| is| are| will be| was| would be)?|whats|how much (?:is|are)|compute|calculate|evaluate|work out|figure out|determine|find(?: out)?|print(?: out)?|show(?: me)?|tell(?: me)?|give(?: me)?|list|return|display|generate|get|make|do|solve|the|all|value of|result of|answer (?:to|of))(?:\s*[,:;]\s*|\s+))+`)
	ending     = matching(`(?:[\s,]*(?:\bplease|\bfor me|\b(?:using|in|with|via) (?:the )?(?:python|code|code interpreter|interpreter)|\bthanks|\bthank you|\buse python|\bnow|\bequals?(?: to)?|=|\?|\.|;|:))+$`)
)

// newAsk prepares a message.
func newAsk(message string, m memory) ask {
	whole := strings.TrimSpace(strings.ToValidUTF8(message, "\uFFFD"))
	head := whole
	if len(head) > maxAsk {
		end := maxAsk
		for !utf8.RuneStart(head[end]) {
			end--
		}
		head = head[:end]
	}
	a := ask{whole: whole, cut: len(head) < len(whole), memory: m}
	oneLine := strings.Join(strings.Fields(lineBreaks.ReplaceAllString(head, "; ")), " ")
	return a.about(ending.ReplaceAllString(courtesy.ReplaceAllString(oneLine, ""), ""))
}

// about returns the ask with another text.
func (a ask) about(text string) ask {
	a.text, a.core = text, question.ReplaceAllString(text, "")
	return a
}

// scope returns what expressions in the message may refer to.
func (a ask) scope() scope { return scope{names: a.memory.names, it: a.memory.it} }

// Pieces of patterns, each with one group.
const (
	count    = `(\d[\d,]*|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|(?:a |one )?hundred|(?:a |one )?thousand|(?:a |one )?million)\b`
	ordinal  = `(\d[\d,]*)(?:st|nd|rd|th)`
	decimal  = `(-?\d+(?:\.\d+)?)`
	amount   = `(-?\d+(?:\.\d+)?|\ban?\b|\bone\b)`
	variable = `([A-Za-z_]\w*)`
)

var countWords = map[string]string{
	"a": "1", "an": "1", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
	"eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20",
	"thirty": "30", "forty": "40", "fifty": "50", "hundred": "100", "thousand": "1000", "million": "1000000",
}

// integer returns what the count pattern found, as Python writes it.
func integer(found string) string {
	found = strings.ToLower(found)
	if n := countWords[found]; n != "" {
		return n
	}
	if n := countWords[found[strings.LastIndex(found, " ")+1:]]; n != "" {
		return n
	}
	return cleanNumber(strings.ReplaceAll(found, ",", ""))
}

// firstGroup returns the first group that holds something.
func firstGroup(groups []string) string { return cmp.Or(groups[1:]...) }

// countNear looks for a count by a pattern with one or more groups, and
// returns otherwise where there is none.
func (a ask) countNear(pattern *regexp.Regexp, otherwise string) string {
	if m := pattern.FindStringSubmatch(a.text); m != nil {
		return integer(firstGroup(m))
	}
	return otherwise
}

var quoted = regexp.MustCompile("(?s)\"([^\"]*)\"|“([^”]*)”|‘([^’]*)’|`([^`]+)`|(?:^|[\\s(:])'(.*?)'(?:[\\s).,?!;:]|$)")

// quotedText returns the first quoted text of the whole message.
func (a ask) quotedText() (string, bool) {
	m := quoted.FindStringSubmatch(a.whole)
	if m == nil {
		return "", false
	}
	return firstGroup(m), true
}
