package demo

import (
	_ "embed" // the scripts
	"strings"
)

// The Python functions that the skills call. They need the standard library
// alone, of CPython 3.11 or later, and no threads, network or time zones.
var (
	//go:embed scripts/primes.py
	primesPy string
	//go:embed scripts/factors.py
	factorsPy string
	//go:embed scripts/fibonacci.py
	fibonacciPy string
	//go:embed scripts/roots.py
	rootsPy string
	//go:embed scripts/dice.py
	dicePy string
	//go:embed scripts/coins.py
	coinsPy string
	//go:embed scripts/walk.py
	walkPy string
	//go:embed scripts/pi.py
	piPy string
	//go:embed scripts/birthdays.py
	birthdaysPy string
	//go:embed scripts/plot.py
	plotPy string
)

// using returns a script that defines the functions of source and evaluates
// value with them.
func using(source, value, lead string) (script, bool) {
	return script{setup: strings.TrimSpace(source) + "\n", value: value, lead: lead}, true
}
