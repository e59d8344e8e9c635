package demo

import (
	"regexp"
	"strings"
	"testing"
)

func TestExpressions(t *testing.T) {
	known := memory{names: map[string]bool{"x": true, "f": true}, it: "_"}
	for _, test := range []struct{ text, want string }{
		{"23 * 19", "23 * 19"},
		{"1 - (2 - 3) - 4", "1 - (2 - 3) - 4"},
		{"(1 - 2) - 3", "1 - 2 - 3"},
		{"2 * (3 + 4)", "2 * (3 + 4)"},
		{"8 / (4 / 2)", "8 / (4 / 2)"},
		{"-2 ^ 2", "-2**2"},
		{"(-2) ^ 2", "(-2)**2"},
		{"2 ^ 3 ^ 2", "2**3**2"},
		{"(2 ^ 3) ^ 2", "(2**3)**2"},
		{"2 ^ -1", "2**-1"},
		{"15% of 240", "15 / 100 * 240"},
		{"17 % 5", "17 % 5"},
		{"7 modulo 3", "7 % 3"},
		{"20% off 80", "80 * (1 - 20 / 100)"},
		{"12!", "math.factorial(12)"},
		{"factorial of 20", "math.factorial(20)"},
		{"square root of 2", "math.sqrt(2)"},
		{"√16 × π", "math.sqrt(16) * math.pi"},
		{"sin(30 degrees)", "math.sin(math.radians(30))"},
		{"gcd of 12 and 18", "math.gcd(12, 18)"},
		{"max(1,200)", "max(1, 200)"},
		{"1,234 + 5", "1234 + 5"},
		{"007 + 0.50 + 00", "7 + 0.50 + 0"},
		{"seven plus two hundred", "7 + 2 * 100"},
		{"3 x 4", "3 * 4"},
		{"2x + 2(x + 1)", "2 * x + 2 * (x + 1)"},
		{"f(x, 2) squared", "f(x, 2)**2"},
		{"add 5 to it", "_ + 5"},
		{"subtract x from 10", "10 - x"},
		{"divide 10 by x + 1", "10 / (x + 1)"},
		{"raise 2 to the power of 10", "2**10"},
		{"5 choose 2", "math.comb(5, 2)"},
		{"cube root of 27", "math.cbrt(27)"},
		{"5th root of 32", "32**(1 / 5)"},
		{"log base 2 of 8", "math.log(8, 2)"},
		{"y + 1", "y + 1"}, // unknown, and left to Python
		{"y + z", ""},
		{"import + 1", ""},
		{"__x + 1", ""},
		{"x.y", ""},
		{"1 +", ""},
		{"(1", ""},
		{"1 2", ""},
		{"'a' * 2", ""},
		{"x; x", ""},
		{"", ""},
	} {
		e, ok := ask{memory: known}.expression(test.text)
		if ok != (test.want != "") || e.python != test.want {
			t.Errorf("%q: got %q, %v; want %q", test.text, e.python, ok, test.want)
		}
		if ok && e.math != strings.Contains(e.python, "math.") {
			t.Errorf("%q: math is %v", test.text, e.math)
		}
	}
}

// Whatever the text, the Python is made of numbers, names, signs and nothing
// else, and its parentheses match.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{"2^10", "15% of 240", "sqrt(2)", "12!", "f(x, 2)", "it + 1", "1,000 x 3", "-(-1)", "𝟙+1", "a\n+1", "1e5j", "0x10", "sin 30°"} {
		f.Add(seed)
	}
	harmless := regexp.MustCompile(`^[\w .+\-*/%(),]+$`)
	f.Fuzz(func(t *testing.T, text string) {
		e, ok := parseExpression(text, scope{names: map[string]bool{"x": true}, it: "_", loose: true})
		if !ok {
			return
		}
		if !harmless.MatchString(e.python) || strings.Contains(e.python, "__") {
			t.Errorf("%q became %q", text, e.python)
		}
		if strings.Count(e.python, "(") != strings.Count(e.python, ")") {
			t.Errorf("%q became %q", text, e.python)
		}
	})
}
