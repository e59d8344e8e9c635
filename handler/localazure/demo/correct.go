package demo

import (
	"regexp"
	"slices"
	"strings"
)

// correction mends code after an exception.
type correction struct {
	exception *regexp.Regexp // has to match the last line of the traceback
	// mend returns the code to run in its place; groups are the pattern's.
	// Code that it cannot mend it returns as it is.
	mend func(code string, groups []string) string
}

var corrections = []correction{
	{regexp.MustCompile(`^NameError: name '(\w+)' is not defined`), importFor},
	{regexp.MustCompile(`^SyntaxError: Missing parentheses in call to '(print|exec)'`), addParentheses},
	{regexp.MustCompile(`^SyntaxError: expected ':'`), addColons},
	{regexp.MustCompile(`^IndentationError: unexpected indent`), dedent},
	{regexp.MustCompile(`^ValueError: Exceeds the limit \(\d+ digits\) for integer string conversion`), allowLongNumbers},
	{regexp.MustCompile(`^FileNotFoundError: \[Errno \d+\] No such file or directory: '([^'/][^']*)'`), inDataDirectory},
}

// correct returns better code for a try that raised an exception. It reports
// false if it knows none.
func correct(t try) (string, bool) {
	if !t.output.raised() {
		return "", false
	}
	for _, c := range corrections {
		if groups := c.exception.FindStringSubmatch(t.output.exception()); groups != nil {
			better := c.mend(t.code, groups)
			return better, better != t.code
		}
	}
	return "", false
}

// modules are those of the standard library that code often forgets to import.
var modules = strings.Fields("base64 calendar cmath collections copy csv datetime decimal fractions functools hashlib heapq io " +
	"itertools json math operator os pathlib pprint random re statistics string sys textwrap time urllib uuid")

// imports are the statements for other names that are often used bare.
var imports = map[string]string{
	"np": "import numpy as np", "pd": "import pandas as pd", "plt": "import matplotlib.pyplot as plt",
	"sqrt": "from math import sqrt", "pi": "from math import pi", "sin": "from math import sin", "cos": "from math import cos",
	"tan": "from math import tan", "log": "from math import log", "exp": "from math import exp", "factorial": "from math import factorial",
	"gcd": "from math import gcd", "ceil": "from math import ceil", "floor": "from math import floor",
	"mean": "from statistics import mean", "median": "from statistics import median", "stdev": "from statistics import stdev",
	"randint": "from random import randint", "choice": "from random import choice", "shuffle": "from random import shuffle",
	"Counter": "from collections import Counter", "defaultdict": "from collections import defaultdict", "deque": "from collections import deque",
	"namedtuple": "from collections import namedtuple", "dataclass": "from dataclasses import dataclass", "Path": "from pathlib import Path",
	"Decimal": "from decimal import Decimal", "Fraction": "from fractions import Fraction", "reduce": "from functools import reduce",
	"date": "from datetime import date", "timedelta": "from datetime import timedelta", "sleep": "from time import sleep",
}

// datetimeClass tells whether code means the class of the module of that name.
var datetimeClass = regexp.MustCompile(`\bdatetime\.(?:now|today|utcnow|strptime|fromisoformat|fromtimestamp)\b|\bdatetime\(`)

func importFor(code string, groups []string) string {
	name := groups[1]
	switch {
	case name == "datetime" && datetimeClass.MatchString(code):
		return "from datetime import datetime\n" + code
	case slices.Contains(modules, name):
		return "import " + name + "\n" + code
	case imports[name] != "":
		return imports[name] + "\n" + code
	}
	return code
}

var (
	barePrint   = regexp.MustCompile(`(?m)^([ \t]*(?:[^#\n]*:[ \t]+)?)(print|exec)[ \t]+([^(\n].*?|\([^\n]*\)[^\n]*?)[ \t]*;?[ \t]*$`)
	blockOpener = regexp.MustCompile(`(?m)^([ \t]*(?:if|elif|else|for|while|def|class|try|except|finally|with)\b[^:\n#]*?)[ \t]*$`)
	indentation = regexp.MustCompile(`(?m)^[ \t]*\S`)
	opened      = regexp.MustCompile(`\b(open|Path)\((['"])([^/'"])`)
)

func addParentheses(code string, _ []string) string {
	return barePrint.ReplaceAllString(code, "$1$2($3)")
}

func addColons(code string, _ []string) string {
	return blockOpener.ReplaceAllString(code, "$1:")
}

// dedent takes off the indentation that all lines share.
func dedent(code string, _ []string) string {
	shared := -1
	for _, start := range indentation.FindAllString(code, -1) {
		if n := len(strings.TrimRight(start, "\r")) - 1; shared < 0 || n < shared {
			shared = n
		}
	}
	var out strings.Builder
	for line := range strings.Lines(code) {
		blank := len(line) - len(strings.TrimLeft(line, " \t"))
		out.WriteString(line[min(blank, max(shared, 0)):])
	}
	return out.String()
}

func allowLongNumbers(code string, _ []string) string {
	return "import sys\nsys.set_int_max_str_digits(0)\n" + code
}

// inDataDirectory looks for a file where files live, which is not the working
// directory of every session pool.
func inDataDirectory(code string, groups []string) string {
	return opened.ReplaceAllString(code, "${1}(${2}/mnt/data/${3}")
}

// explanations say what an exception means, for those that are left.
var explanations = []struct {
	exception *regexp.Regexp
	text      string
}{
	{regexp.MustCompile(`^NameError: name '_' `), "There is no earlier value to go on with. Compute something first."},
	{regexp.MustCompile(`^NameError: name '(\w+)'`), "There is no variable `$1` in this session. Set it first, for example `let $1 = 5`."},
	{regexp.MustCompile(`^ModuleNotFoundError: No module named '(?:numpy|pandas|matplotlib|scipy|sklearn|sympy|seaborn|PIL|requests)\b`),
		"The local interpreter has the standard library alone; this package is in the real session pool, or can be installed there."},
	{regexp.MustCompile(`^ModuleNotFoundError`), "The interpreter has no such module."},
	{regexp.MustCompile(`^ZeroDivisionError`), "A division by zero has no value, so there is nothing to correct in the code: ask with another divisor."},
	{regexp.MustCompile(`^(?:SyntaxError|IndentationError|TabError)`), "The code is not valid Python, and I know no correction for it."},
	{regexp.MustCompile(`^(?:FileNotFoundError|IsADirectoryError)`), "There is no such file. `list files` shows those there are."},
	{regexp.MustCompile(`^MemoryError`), "It needs more memory than the session has. Ask for less."},
	{regexp.MustCompile(`^OverflowError`), "The numbers are too large for this computation."},
	{regexp.MustCompile(`^RecursionError`), "The code calls itself too deeply."},
	{regexp.MustCompile(`^KeyboardInterrupt`), "The run was interrupted."},
	{regexp.MustCompile(`^AssertionError`), "An assertion of the code does not hold."},
	{regexp.MustCompile(`^ValueError: math domain error`), "The function has no real value there."},
}

// explain says what an exception means.
func explain(exception string) string {
	for _, e := range explanations {
		if m := e.exception.FindStringSubmatchIndex(exception); m != nil {
			return string(e.exception.ExpandString(nil, e.text, exception, m))
		}
	}
	return "I know no correction for that."
}
