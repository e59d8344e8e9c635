package demo

import (
	"regexp"
	"slices"
	"strings"
)

var (
	lexeme    = regexp.MustCompile(`^(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[A-Za-z_]\w*|\*\*|//|[-+*/^%!(),°×÷−·√²³π])`)
	thousands = regexp.MustCompile(`^\d{1,3}(?:,\d{3})+(?:\.\d+)?`)
	aNumber   = regexp.MustCompile(`^(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$`)
	aName     = regexp.MustCompile(`^[A-Za-z_]\w*$`)
)

// lex cuts text into numbers, names and signs, and puts the signs for the
// words of arithmetic. It reports false if there is anything else in it.
func lex(text string, known map[string]bool) ([]string, bool) {
	var out []string
	depth := 0
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		next := ""
		if depth == 0 { // within parentheses a comma parts arguments
			next = strings.ReplaceAll(thousands.FindString(text), ",", "")
		}
		length := len(thousands.FindString(text))
		if next == "" {
			next = lexeme.FindString(text)
			length = len(next)
		}
		if next == "" || len(out) > maxLexemes {
			return nil, false
		}
		switch next {
		case "(":
			depth++
		case ")":
			depth--
		}
		out = append(out, next)
		text = text[length:]
	}
	return multiplyByX(translate(out, known)), true
}

// translate replaces the words of arithmetic. A word that is a known variable
// stays one.
func translate(in []string, known map[string]bool) []string {
	var out []string
	for len(in) > 0 {
		words, signs := 1, in[:1]
		for _, p := range phrases {
			if p.begins(in) && !(len(p.words) == 1 && known[in[0]]) {
				words, signs = len(p.words), p.signs
				break
			}
		}
		out = append(out, signs...)
		in = in[words:]
	}
	return out
}

// multiplyByX takes the x of "3 x 4" for the sign that it is.
func multiplyByX(in []string) []string {
	for i := 1; i+1 < len(in); i++ {
		if (in[i] == "x" || in[i] == "X") && isNumber(in[i-1]) && isNumber(in[i+1]) {
			in[i] = "*"
		}
	}
	return in
}

// phrase is one or more words and the signs that they stand for.
type phrase struct{ words, signs []string }

func (p phrase) begins(lexemes []string) bool {
	return len(lexemes) >= len(p.words) && slices.EqualFunc(p.words, lexemes[:len(p.words)], strings.EqualFold)
}

func means(words, signs string) phrase { return phrase{strings.Fields(words), strings.Fields(signs)} }

// phrases are tried in order: the longer ones first.
var phrases = []phrase{
	means("raised to the power of", "^"), means("to the power of", "^"), means("raised to the power", "^"),
	means("to the power", "^"), means("raised to", "^"), means("multiplied by", "*"), means("divided by", "/"),
	means("square root", "sqrt"), means("cube root", "cbrt"), means("absolute value", "abs"), means("half of", "1 / 2 *"), means("tip on", "of"), means("tax on", "of"),
	means("natural log", "ln"), means("log base 10", "log10"), means("log base 2", "log2"),
	means("greatest common divisor", "gcd"), means("least common multiple", "lcm"),
	means("the last result", "_"), means("the previous result", "_"), means("the last value", "_"), means("the last answer", "_"),
	means("the previous value", "_"), means("the previous answer", "_"), means("the result", "_"), means("the answer", "_"),
	means("the value", "_"), means("that number", "_"), means("this number", "_"), means("that value", "_"), means("that result", "_"),
	means("it", "_"), means("its", "_"), means("that", "_"), means("this", "_"), means("ans", "_"), means("the", ""),
	means("plus", "+"), means("minus", "-"), means("times", "*"), means("over", "/"), means("modulo", "mod"), means("half", "1 / 2 *"),
	means("twice", "2 *"), means("squared", "^ 2"), means("cubed", "^ 3"), means("percent", "%"), means("degrees", "°"),
	means("hundred", "* 100"), means("thousand", "* 1000"), means("million", "* 1000000"), means("billion", "* 1000000000"),
	means("×", "*"), means("÷", "/"), means("−", "-"), means("·", "*"), means("√", "sqrt"), means("²", "^ 2"), means("³", "^ 3"), means("π", "pi"),
	means("zero", "0"), means("one", "1"), means("two", "2"), means("three", "3"), means("four", "4"), means("five", "5"), means("six", "6"),
	means("seven", "7"), means("eight", "8"), means("nine", "9"), means("ten", "10"), means("eleven", "11"), means("twelve", "12"),
	means("twenty", "20"), means("thirty", "30"), means("forty", "40"), means("fifty", "50"),
}

// function is one that an expression may call.
type function struct {
	python string
	many   bool // without parentheses too it takes several arguments
}

var functions = map[string]function{
	"sqrt": {"math.sqrt", false}, "cbrt": {"math.cbrt", false}, "exp": {"math.exp", false},
	"ln": {"math.log", false}, "log": {"math.log10", false}, "log10": {"math.log10", false}, "log2": {"math.log2", false},
	"logb": {"math.log", true}, // "log base b of x", see openings
	"sin":  {"math.sin", false}, "cos": {"math.cos", false}, "tan": {"math.tan", false},
	"asin": {"math.asin", false}, "acos": {"math.acos", false}, "atan": {"math.atan", false},
	"sinh": {"math.sinh", false}, "cosh": {"math.cosh", false}, "tanh": {"math.tanh", false},
	"arcsin": {"math.asin", false}, "arccos": {"math.acos", false}, "arctan": {"math.atan", false},
	"factorial": {"math.factorial", false}, "floor": {"math.floor", false}, "ceil": {"math.ceil", false},
	"radians": {"math.radians", false}, "gcd": {"math.gcd", true}, "lcm": {"math.lcm", true}, "comb": {"math.comb", true},
	"abs": {"abs", false}, "round": {"round", false}, "min": {"min", true}, "max": {"max", true}, "pow": {"pow", true},
	"len": {"len", false}, "length": {"len", false}, "sum": {"sum", false}, "sorted": {"sorted", false},
}

var constants = map[string]string{"pi": "math.pi", "e": "math.e", "tau": "math.tau", "true": "True", "false": "False"}

func isNumber(lexeme string) bool { return aNumber.MatchString(lexeme) }
func isName(lexeme string) bool   { return lexeme != "_" && aName.MatchString(lexeme) }

// cleanNumber writes a number as Python wants it: no leading zeros.
func cleanNumber(n string) string {
	if trimmed := strings.TrimLeft(n, "0"); trimmed != "" && trimmed[0] >= '0' && trimmed[0] <= '9' {
		return trimmed
	}
	if strings.Trim(n, "0") == "" {
		return "0"
	}
	return n
}
