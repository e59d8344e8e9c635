package demo

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

func primesBelow(a ask, groups []string) (script, bool) {
	limit := integer(groups[1])
	if strings.Contains(a.text, "up to") || strings.Contains(a.text, "until") {
		limit += " + 1"
	}
	call := "primes_below(" + limit + ")"
	if counting.MatchString(a.text) {
		return using(primesPy, "len("+call+")", "The number of primes is")
	}
	return using(primesPy, call, "The primes are")
}

var counting = matching(`\b(?:how many|number of|count)\b`)

func firstPrimes(_ ask, groups []string) (script, bool) {
	n := integer(groups[1])
	return using(primesPy, "first_primes("+n+")", "The first "+n+" primes are")
}

func nthPrime(_ ask, groups []string) (script, bool) {
	n := integer(groups[1])
	return using(primesPy, "first_primes("+n+")[-1]", "Prime number "+n+" is")
}

func isPrime(_ ask, groups []string) (script, bool) {
	n := integer(groups[1])
	return using(factorsPy, fmt.Sprintf("prime_factors(%s) == [%[1]s]", n), "Is "+n+" a prime?")
}

func factors(_ ask, groups []string) (script, bool) {
	n := integer(firstGroup(groups))
	return using(factorsPy, "prime_factors("+n+")", "The prime factors of "+n+" are")
}

func firstFibonacci(_ ask, groups []string) (script, bool) {
	n := integer(firstGroup(groups))
	return using(fibonacciPy, "list(islice(fibonacci(), "+n+"))", "The first "+n+" Fibonacci numbers are")
}

func fibonacciBelow(_ ask, groups []string) (script, bool) {
	n := integer(groups[1])
	return using(fibonacciPy, "list(takewhile(lambda n: n <= "+n+", fibonacci()))", "The Fibonacci numbers up to "+n+" are")
}

func nthFibonacci(_ ask, groups []string) (script, bool) {
	n := integer(firstGroup(groups))
	return using(fibonacciPy, "next(islice(fibonacci(), "+n+", None))", "Fibonacci number "+n+", counted from F(0) = 0, is")
}

// sumOfRange is for "sum of the even numbers from 1 to 100".
func sumOfRange(_ ask, groups []string) (script, bool) {
	numbers := fmt.Sprintf("range(%s, %s + 1)", integer(groups[3]), integer(groups[4]))
	s := script{value: "sum(" + someOf(numbers, groups[2]) + ")", lead: "The sum is"}
	if strings.EqualFold(groups[1], "product") {
		s.setup, s.value, s.lead = "import math", "math.prod("+someOf(numbers, groups[2])+")", "The product is"
	}
	return s, true
}

// someOf keeps the even or the odd ones of numbers.
func someOf(numbers, parity string) string {
	switch strings.ToLower(parity) {
	case "even":
		return "n for n in " + numbers + " if n % 2 == 0"
	case "odd":
		return "n for n in " + numbers + " if n % 2 == 1"
	}
	return numbers
}

// sumOfFirst is for "sum of the first 10 squares".
func sumOfFirst(_ ask, groups []string) (script, bool) {
	return script{value: "sum(" + terms(integer(groups[1]), firstGroup(groups[1:])) + ")", lead: "The sum is"}, true
}

// firstTerms is for "the first 10 squares".
func firstTerms(_ ask, groups []string) (script, bool) {
	list := terms(integer(groups[1]), firstGroup(groups[1:]))
	if strings.Contains(list, " for ") {
		return script{value: "[" + list + "]", lead: "They are"}, true
	}
	return script{value: "list(" + list + ")", lead: "They are"}, true
}

// terms is the Python for the first n numbers of a kind.
func terms(n, kind string) string {
	word, _, _ := strings.Cut(strings.ToLower(kind), " ")
	switch word {
	case "even":
		return "range(2, 2 * " + n + " + 1, 2)"
	case "odd":
		return "range(1, 2 * " + n + ", 2)"
	case "square", "squares":
		return "n**2 for n in range(1, " + n + " + 1)"
	case "cube", "cubes":
		return "n**3 for n in range(1, " + n + " + 1)"
	case "powers":
		return "2**n for n in range(" + n + ")"
	}
	return "range(1, " + n + " + 1)"
}

func countUp(_ ask, groups []string) (script, bool) {
	return script{value: "list(range(" + integer(groups[1]) + ", " + integer(groups[2]) + " + 1))", lead: "They are"}, true
}

func timesTable(_ ask, groups []string) (script, bool) {
	return script{value: "[" + integer(groups[1]) + " * n for n in range(1, 11)]", lead: "The table of " + integer(groups[1]) + " is"}, true
}

var (
	term    = regexp.MustCompile(`^([-+]?)(\d+(?:\.\d+)?)?\*?(?:([a-z])(?:(?:\^|\*\*)2|(²))?|)`)
	squared = regexp.MustCompile(`(?:\^|\*\*)2$|²$`)
	solving = matching(`^(?:(?:solve|find|roots|solutions|zeros|of|for|the|equation|quadratic|linear|[a-z] in)(?: |:)+)*`)
	solved  = matching(`[, ]+for [a-z]$`)
)

// solve is for linear and quadratic equations in one unknown. It sorts the
// terms by power and leaves every sum to Python.
func solve(a ask, _ []string) (script, bool) {
	equation := solved.ReplaceAllString(solving.ReplaceAllString(a.core, ""), "")
	left, right, _ := strings.Cut(strings.NewReplacer(" ", "", "−", "-", "X", "x").Replace(equation), "=")
	p := polynomial{}
	if !p.add(left, "") || !p.add(right, "-") || p.unknown == "" || a.cut {
		return script{}, false
	}
	return using(rootsPy, fmt.Sprintf("roots(%s, %s, %s)", p.sum(2), p.sum(1), p.sum(0)), "The solutions for "+p.unknown+" are")
}

// polynomial holds the coefficients of each power, as Python.
type polynomial struct {
	coefficients [3][]string
	unknown      string
}

// add reads terms such as "2x^2-3x+1", and puts sign before each coefficient.
func (p *polynomial) add(terms, sign string) bool {
	for first := true; terms != ""; first = false {
		m := term.FindStringSubmatch(terms)
		switch {
		case m[0] == "" || m[2] == "" && m[3] == "" || !first && m[1] == "":
			return false
		case m[3] != "" && p.unknown != "" && p.unknown != m[3]:
			return false
		}
		power := 0
		if m[3] != "" {
			p.unknown, power = m[3], 1
		}
		if squared.MatchString(m[0]) && power == 1 {
			power = 2
		}
		number := "1"
		if m[2] != "" {
			number = cleanNumber(m[2])
		}
		if number == "0" {
			terms = terms[len(m[0]):]
			continue
		}
		p.coefficients[power] = append(p.coefficients[power], signed(sign+strings.TrimPrefix(m[1], "+"), number))
		terms = terms[len(m[0]):]
	}
	return true
}

// signed puts none, one or two minus signs before a number.
func signed(signs, number string) string {
	if signs == "-" {
		return "-" + number
	}
	return number
}

// sum is the sum of the coefficients of one power.
func (p *polynomial) sum(power int) string {
	if len(p.coefficients[power]) == 0 {
		return "0"
	}
	return strings.ReplaceAll(strings.Join(p.coefficients[power], " + "), "+ -", "- ")
}

func solveGiven(_ ask, groups []string) (script, bool) {
	return using(rootsPy, "roots("+strings.Join(groups[1:4], ", ")+")", "The solutions are")
}

var (
	rate      = matching(`(\d+(?:\.\d+)?) ?(?:%|percent)`)
	years     = matching(`(\d+(?:\.\d+)?|an?|one|two|three|four|five|ten|twenty) years?\b`)
	principal = matching(`(?:\b(?:on|of|principal|invest\w*|deposit\w*|with|for)\b:? ?[$€£]?|[$€£] ?)(\d[\d,]*(?:\.\d+)?)(?: ?(?:%|percent|years?)|\b)`)
	periods   = map[string]string{"monthly": "12", "quarterly": "4", "daily": "365", "weekly": "52"}
	period    = matching(`\b(monthly|quarterly|daily|weekly)\b`)
)

// compound is for "compound interest on 1000 at 5% for 10 years, monthly".
func compound(a ask, _ []string) (script, bool) {
	percent, years := a.countNear(rate, ""), a.countNear(years, "")
	amount := principalOf(a.text)
	if percent == "" || years == "" || amount == "" {
		return script{}, false
	}
	n := "1"
	if m := period.FindString(a.text); m != "" {
		n = periods[strings.ToLower(m)]
	}
	return script{
		value: fmt.Sprintf("round(%s * (1 + %s / 100 / %s) ** (%[3]s * %s), 2)", amount, percent, n, years),
		lead:  "With the interest the amount grows to",
	}, true
}

// principalOf finds the first amount that is neither the rate nor the time.
func principalOf(text string) string {
	for _, m := range principal.FindAllStringSubmatch(text, -1) {
		if last := m[0][len(m[0])-1]; last >= '0' && last <= '9' {
			return integer(m[1])
		}
	}
	return ""
}

var (
	betweenNumbers = matching(`(?:between|from) (\d+) (?:and|to) (\d+)`)
	howManyRandom  = matching(`^(?:choose |pick )?` + count + ` random`)
)

func randomNumbers(a ask, _ []string) (script, bool) {
	low, high := "1", "100"
	if m := betweenNumbers.FindStringSubmatch(a.text); m != nil {
		low, high = cleanNumber(m[1]), cleanNumber(m[2])
	}
	n, err := strconv.Atoi(a.countNear(howManyRandom, "1"))
	if err != nil {
		return script{}, false
	}
	s := script{setup: "import random\nrng = random.Random(42)", lead: "I drew", note: seeded}
	s.value = fmt.Sprintf("rng.randint(%s, %s)", low, high)
	if n > 1 {
		s.value = fmt.Sprintf("[%s for _ in range(%d)]", s.value, n)
	}
	return s, true
}
