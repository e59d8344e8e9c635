package demo

import (
	"regexp"
	"strings"
)

// skill is one thing that the planner can do. To add one, add a row to
// [statements] or [formulas]; the first row that understands wins.
type skill struct {
	pattern *regexp.Regexp // has to be found
	// write returns the script for what was asked. groups are the pattern's.
	// It may still decline.
	write func(a ask, groups []string) (script, bool)
}

// statements are matched against the ask as it stands. They are what a value
// cannot be taken from.
var statements = []skill{
	{matching(``), runFence},
	{matching(`^(?:run|execute)\b.*\bagain\b|^again$|^(?:re-?run|repeat) (?:it|that|this)`), runAgain},
	{matching("^(?:run|execute|exec|eval)\\b"), runGiven},
	{matching(`^(?:print\(|import [\w.]+(?: as \w+)?(?:$|[;,])|from [\w.]+ import |def \w+\(|class \w+(?:\(.*\))?:|for \w+ in \S+:|while \S+:)`), runBare},
	{matching(`^\S`), runLines},
	{matching(`\b(?:write|save|put|store)\b.* (?:to|in|into|as)(?: the| a)?(?: file)?(?: called| named)? ` + fileName), writeFile},
	{matching(`\b(?:create|make|write)\b.*? ` + fileName + ` (?:with|containing|that says|that contains)(?: the)?(?: text| content| words?)? (.+)$`), createFile},
	{matching(`^(?:read|show|open|print|cat|display)\b.*? ` + fileName + `$`), readFile},
	{matching(`^(?:(?:list|show|see)\b.* files|ls$|(?:what|which) files)`), listFiles},
	{matching(`\b(?:plot|draw|chart|graph|sketch)(?: me| us)?(?: the| a| an)?(?: (?:bar|line))?(?: (?:graph|chart|plot|curve|function|line|values|list|numbers))?(?: of| for)?:? (.+)$`), plot},
}

// assignments give a variable a value. They are statements, and may stand in a
// sequence.
var assignments = []skill{
	{matching(`^(?:let|set|define|assign|remember|store|save|make|create|put)(?: that)?(?: the| a)?(?: variable)? ` + variable + `(?: ?:?= ?| to be | be equal to | be | to | as | equal to | equals | is | with (?:the )?value (?:of )?)(.+)$`), assign},
	{matching(`^` + variable + ` ?:?= ?([^=].*)$`), assign},
	{matching(`^(?:store|assign|save|put|remember|call) (.+) (?:in|into|to|as)(?: the)?(?: variable)? ` + variable + `$`), assignTo},
}

// formulas give a value. They are matched against the core of the ask, and
// against what is to be assigned to a variable.
var formulas = []skill{
	{matching(`\b(?:roll\w*|throw\w*|toss\w*|simulat\w*)\b.*\b(?:dice|die|\d{1,3}d\d{1,3})\b|^\d{1,3}d\d{1,3}\b|\bdice rolls?\b`), rollDice},
	{matching(`\b(?:flip\w*|toss\w*)\b.*\bcoins?\b|\bcoin (?:flip|toss)`), flipCoins},
	{matching(`\brandom walk\b`), randomWalk},
	{matching(`\bmonte[- ]?carlo\b.*\bpi\b|\b(?:estimate|approximate|simulate)\b.*\bpi\b|\bpi\b.*\bmonte[- ]?carlo\b`), estimatePi},
	{matching(`\bbirthday\b.*\b(?:paradox|problem|simulat\w*|probab\w*|chance)|\bsimulat\w*\b.*\bbirthday`), birthdays},
	{matching(`\brandom (?:whole )?(?:numbers?|integers?)\b`), randomNumbers},
	{matching(`^(?:primes?|prime numbers?|(?:how many|number of|count(?: of)?(?: the)?) primes?(?: numbers?)?)(?: are there| are)? (?:below|under|up to|less than|smaller than|until) ` + count), primesBelow},
	{matching(`^first ` + count + ` primes?`), firstPrimes},
	{matching(`^` + ordinal + ` prime`), nthPrime},
	{matching(`^(?:is|check (?:if|whether)) ` + count + `(?: is)?(?: a)? prime`), isPrime},
	{matching(`^(?:prime )?factors? of ` + count + `|^factori[sz]e ` + count + `|^(?:prime )?factori[sz]ation of ` + count), factors},
	{matching(`^(?:first )?` + count + ` (?:terms of (?:the )?)?fibonacci|^fibonacci (?:sequence|series|numbers)(?: of| with| for| to)?(?: length| the first)? ` + count), firstFibonacci},
	{matching(`^fibonacci (?:sequence|series|numbers) (?:below|under|up to|less than) ` + count), fibonacciBelow},
	{matching(`^` + ordinal + ` (?:number in (?:the )?)?fibonacci|^(?:fibonacci|fib)(?: number)?(?: of)? ?\(?` + count + `\)?$`), nthFibonacci},
	{matching(`^(sum|product) of (?:the )?(?:all )?(?:(even|odd) )?(?:numbers|integers|whole numbers|natural numbers)? ?(?:from |between )?` + count + ` ?(?:to|through|until|and|\.\.\.?|-) ?` + count + `$`), sumOfRange},
	{matching(`^sum of (?:the )?first ` + count + ` (?:(even|odd) )?(numbers|integers|natural numbers|squares|cubes)$`), sumOfFirst},
	{matching(`^(?:first )?` + count + ` (?:(even|odd) (?:numbers|integers)|(natural numbers|integers|squares|square numbers|cubes|cube numbers|powers of (?:two|2)))$`), firstTerms},
	{matching(`^(?:numbers |integers )?(?:from )?` + count + ` (?:to|through) ` + count + `$`), countUp},
	{matching(`^(?:multiplication|times) table (?:of|for) ` + count), timesTable},
	{matching(`=`), solve},
	{matching(`\bquadratic\b.*\ba ?= ?` + decimal + `\D*?\bb ?= ?` + decimal + `\D*?\bc ?= ?` + decimal), solveGiven},
	{matching(`\bcompound`), compound},
	{matching(`^(?:convert )?` + amount + ` ?(\D+?) (?:to|in|into|as) (\D+)$`), convert},
	{matching(`^how many (\D+?)(?: are| is)?(?: there)?(?: in)? ` + amount + ` ?(\D+)$`), howMany},
	{matching(`\bdays?\b.*\b(?:between|from|until|till|to|since)\b`), daysBetween},
	{matching(`\b(?:day of the week|weekday|which day)\b|^day (?:is|was|will|of)\b`), weekday},
	{matching(`\b` + count + ` (days?|weeks?) (after|before|from|ago)\b`), dateShift},
	{matching(`\b(?:time|date|day)\b.*\b(?:now|today|is it)\b|^(?:current |today'?s? )(?:time|date)|^(?:date|time|today|now|date and time|time and date|current date and time)$`), now},
	{matching(`\b(?:words?|characters?|letters?|lines?|reverse\w*|upper ?case|lower ?case|palindrome|length|capitali[sz]e)\b`), textFact},
	{matching(statisticWords), statistics},
	{matching(`.`), arithmetic},
}

// script is what the planner makes of an ask: code to run, or a reply.
type script struct {
	setup string // statements to run first, without a final newline; may be empty
	value string // the expression whose value answers; may be empty
	lead  string // begins the sentence that ends with the value: "The mean is"
	note  string // a sentence to add to the answer
	reply string // answers at once, and nothing is run
}

// code returns the whole script.
func (s script) code() string {
	return strings.Trim(s.setup+"\n"+s.value, "\n")
}

// choose finds the skill for a message. Where none understands it, the reply
// says what the planner is.
func choose(message string, m memory) script {
	a := newAsk(message, m)
	if s, ok := firstOf(statements, a, a.text); ok {
		return s
	}
	if s, ok := firstOf(assignments, a, a.text); ok {
		return s
	}
	if s, ok := firstOf(formulas, a, a.core); ok {
		return s
	}
	if s, ok := sequence(a); ok {
		return s
	}
	return script{reply: whoIAm}
}

// firstOf asks the skills in order.
func firstOf(table []skill, a ask, text string) (script, bool) {
	for _, skill := range table {
		if groups := skill.pattern.FindStringSubmatch(text); groups != nil {
			if s, ok := skill.write(a.about(text), groups); ok {
				return s, true
			}
		}
	}
	return script{}, false
}

// matching compiles a pattern that takes capitals and small letters alike.
func matching(pattern string) *regexp.Regexp { return regexp.MustCompile("(?i)" + pattern) }
