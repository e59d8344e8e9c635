package demo

import (
	"slices"
	"strings"
)

// scope is what an expression may refer to.
type scope struct {
	names map[string]bool // known variables and functions
	it    string          // what "it" stands for; empty: nothing
	loose bool            // unknown names are let through too: Python will tell
}

// expression is arithmetic in Python.
type expression struct {
	python string
	math   bool // it needs the math module
	noIt   bool // it refers to an earlier value that is not there; python is empty
}

// maxLexemes bounds an expression: Python's own parser gives up on deep nesting.
const maxLexemes = 400

// parseExpression reads arithmetic in symbols and words. Only what the parser
// has understood, piece by piece, gets into the Python text. It reports false
// for everything that is not an expression from beginning to end.
func parseExpression(text string, s scope) (expression, bool) {
	lexemes, ok := lex(text, s.names)
	if !ok || len(lexemes) == 0 || len(lexemes) > maxLexemes {
		return expression{}, false
	}
	p := parser{lexemes: lexemes, scope: s}
	n := p.sum()
	switch {
	case p.failed || p.at < len(p.lexemes):
		return expression{}, false
	case p.unknown && (!s.loose || !p.number):
		return expression{}, false
	case p.noIt:
		return expression{noIt: true}, true
	}
	return expression{python: n.text, math: p.math}, true
}

// level is how tightly a piece of Python binds.
type level int

const (
	sumLevel level = iota
	productLevel
	unaryLevel
	powerLevel
	atomLevel
)

// node is a piece of Python.
type node struct {
	text string
	level
}

// at returns the text, in parentheses if it binds less tightly than wanted.
func (n node) at(wanted level) string {
	if n.level < wanted {
		return "(" + n.text + ")"
	}
	return n.text
}

// parser is a recursive-descent parser. Once failed is set it finds no further
// lexeme, so that every loop ends.
type parser struct {
	lexemes []string
	at      int
	scope   scope
	failed  bool
	math    bool // a function or constant of math is used
	number  bool // a number was met
	unknown bool // a name that is not in scope was met
	noIt    bool // "it" was met and stands for nothing
}

// peek returns the next lexeme; empty at the end.
func (p *parser) peek() string {
	if p.failed || p.at >= len(p.lexemes) {
		return ""
	}
	return p.lexemes[p.at]
}

// take consumes and returns the next lexeme if it is one of those.
func (p *parser) take(lexemes ...string) string {
	next := p.peek()
	if next == "" || !slices.Contains(lexemes, next) {
		return ""
	}
	p.at++
	return next
}

func (p *parser) fail() node {
	p.failed = true
	return node{}
}

// sum reads a + b - c.
func (p *parser) sum() node {
	left := p.product()
	for op := p.take("+", "-"); op != ""; op = p.take("+", "-") {
		left = node{left.at(sumLevel) + " " + op + " " + p.product().at(productLevel), sumLevel}
	}
	return left
}

// product reads a * b / c, 15% of x, 7 mod 3, and 2x.
func (p *parser) product() node {
	left := p.unary()
	for op := p.productSign(); op != ""; op = p.productSign() {
		left = node{left.at(productLevel) + " " + op + " " + p.unary().at(unaryLevel), productLevel}
	}
	return left
}

// productSign consumes a sign of multiplication or division, if there is one,
// and returns Python's for it.
func (p *parser) productSign() string {
	switch op := p.take("*", "/", "//", "%", "mod", "of"); op {
	case "mod":
		return "%"
	case "of":
		return "*"
	case "":
		if p.peek() != "" && p.at > 0 && isNumber(p.lexemes[p.at-1]) && p.multiplies(p.peek()) {
			return "*"
		}
		return ""
	default:
		return op
	}
}

// multiplies reports whether next is multiplied by the number right before it,
// as in 2x and 3(4 + 5). Other words may be anything: "5 apples".
func (p *parser) multiplies(next string) bool {
	lower := strings.ToLower(next)
	_, isFunction := functions[lower]
	return next == "(" || p.scope.names[next] || isFunction || constants[lower] != "" || isName(next) && len(next) == 1
}

// unary reads -a.
func (p *parser) unary() node {
	switch p.take("-", "+") {
	case "-":
		return node{"-" + p.unary().at(unaryLevel), unaryLevel}
	case "+":
		return p.unary()
	}
	return p.power()
}

// power reads a ^ b.
func (p *parser) power() node {
	base := p.postfix()
	for p.take("^", "**") != "" {
		exponent := p.unary()
		base = node{base.at(atomLevel) + "**" + exponent.at(unaryLevel), powerLevel}
	}
	return base
}

// postfix reads a!, a% and a°. A percent sign before another operand is
// Python's modulo and is left for product.
func (p *parser) postfix() node {
	n := p.atom()
	for {
		switch {
		case p.take("!") != "":
			n = p.mathCall("factorial", n.text)
		case p.take("°") != "":
			n = p.mathCall("radians", n.text)
		case p.peek() == "%" && !p.operandAfterPercent():
			p.at++
			n = node{n.at(productLevel) + " / 100", productLevel}
		default:
			return n
		}
	}
}

func (p *parser) operandAfterPercent() bool {
	if p.at+1 >= len(p.lexemes) {
		return false
	}
	next := p.lexemes[p.at+1]
	return next == "(" || isNumber(next) || isName(next) && next != "of" && next != "mod"
}

func (p *parser) mathCall(function, arguments string) node {
	p.math = true
	return node{"math." + function + "(" + arguments + ")", atomLevel}
}

// atom reads a number, a name, a call, or an expression in parentheses.
func (p *parser) atom() node {
	next := p.peek()
	if next == "" {
		return p.fail()
	}
	p.at++
	switch {
	case next == "(":
		n := p.sum()
		if p.take(")") == "" {
			return p.fail()
		}
		return n
	case next == "_":
		p.noIt = p.noIt || p.scope.it == ""
		return node{p.scope.it, atomLevel}
	case isNumber(next):
		p.number = true
		return node{cleanNumber(next), atomLevel}
	case isName(next):
		return p.name(next)
	}
	return p.fail()
}

// name reads what begins with a name: a variable, a call or a constant. The
// caller's variables come before the names of mathematics.
func (p *parser) name(name string) node {
	lower := strings.ToLower(name)
	f, isFunction := functions[lower]
	constant := constants[lower]
	switch {
	case p.scope.names[name]:
		if p.take("(") != "" {
			return p.callOf(name)
		}
		return node{name, atomLevel}
	case isFunction:
		return p.function(f)
	case constant != "":
		p.math = p.math || strings.HasPrefix(constant, "math.")
		return node{constant, atomLevel}
	case !usableName(name) || name == "of" || name == "mod":
		return p.fail()
	}
	p.unknown = true
	return node{name, atomLevel}
}

// function reads the arguments of a known function: sqrt(2), sqrt 2, square
// root of 2, gcd of 12 and 18.
func (p *parser) function(f function) node {
	p.math = p.math || strings.HasPrefix(f.python, "math.")
	if p.take("of") == "" && p.take("(") != "" {
		return p.callOf(f.python)
	}
	arguments := []string{p.unary().text}
	for f.many && p.take(",", "and") != "" {
		arguments = append(arguments, p.unary().text)
	}
	return node{f.python + "(" + strings.Join(arguments, ", ") + ")", atomLevel}
}

// callOf reads arguments up to the closing parenthesis.
func (p *parser) callOf(python string) node {
	var arguments []string
	for p.peek() != ")" && !p.failed {
		arguments = append(arguments, p.sum().text)
		if p.take(",") == "" {
			break
		}
	}
	if p.take(")") == "" {
		return p.fail()
	}
	return node{python + "(" + strings.Join(arguments, ", ") + ")", atomLevel}
}
