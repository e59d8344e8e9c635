package demo

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

const (
	isoDate   = `\d{4}-\d{1,2}-\d{1,2}`
	monthDate = `(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}`
	dayDate   = `\d{1,2}(?:st|nd|rd|th)?(?: of)? (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?,? \d{4}`
)

var (
	aDate    = matching(`\b(?:` + isoDate + `|` + monthDate + `|` + dayDate + `|today|now|tomorrow|yesterday)\b`)
	iso      = regexp.MustCompile(`^(\d{4})-(\d{1,2})-(\d{1,2})$`)
	ordinals = matching(`(\d)(?:st|nd|rd|th)\b`)
	relative = map[string]string{
		"today": "date.today()", "now": "date.today()",
		"tomorrow": "date.today() + timedelta(days=1)", "yesterday": "date.today() - timedelta(days=1)",
	}
)

const importDates = "from datetime import date, timedelta"

// dates returns the Python for the dates in the ask, in their order.
func (a ask) dates() []string {
	var out []string
	for _, found := range aDate.FindAllString(a.text, -1) {
		if python, ok := dateLiteral(strings.ToLower(found)); ok {
			out = append(out, python)
		}
	}
	return out
}

// dateLiteral turns a date into Python. Whether there is such a day is for
// Python to say.
func dateLiteral(text string) (string, bool) {
	if python := relative[text]; python != "" {
		return python, true
	}
	if m := iso.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("date(%s, %s, %s)", cleanNumber(m[1]), cleanNumber(m[2]), cleanNumber(m[3])), true
	}
	text = ordinals.ReplaceAllString(strings.NewReplacer(",", "", ".", "", " of ", " ").Replace(text), "$1")
	for _, layout := range []string{"January 2 2006", "Jan 2 2006", "2 January 2006", "2 Jan 2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return fmt.Sprintf("date(%d, %d, %d)", t.Year(), t.Month(), t.Day()), true
		}
	}
	return "", false
}

func daysBetween(a ask, _ []string) (script, bool) {
	dates := a.dates()
	if len(dates) == 1 && sinceOrUntil.MatchString(a.text) {
		dates = append(dates, "date.today()")
	}
	if len(dates) != 2 {
		return script{}, false
	}
	return script{
		setup: importDates,
		value: fmt.Sprintf("abs(%s - %s).days", inParentheses(dates[1]), inParentheses(dates[0])),
		lead:  "The number of days is",
	}, true
}

var sinceOrUntil = matching(`\b(?:since|until|till|to)\b`)

// inParentheses protects a sum.
func inParentheses(python string) string {
	if strings.Contains(python, " + ") || strings.Contains(python, " - ") {
		return "(" + python + ")"
	}
	return python
}

func weekday(a ask, _ []string) (script, bool) {
	dates := a.dates()
	if len(dates) != 1 {
		return script{}, false
	}
	return script{setup: importDates, value: "(" + dates[0] + ").strftime(\"%A\")", lead: "The day of the week is"}, true
}

// dateShift is for "30 days after 2024-01-01" and "2 weeks ago".
func dateShift(a ask, groups []string) (script, bool) {
	dates := a.dates()
	if len(dates) == 0 {
		dates = []string{"date.today()"}
	}
	sign := "+"
	if where := strings.ToLower(groups[3]); where == "before" || where == "ago" {
		sign = "-"
	}
	unit := strings.TrimSuffix(strings.ToLower(groups[2]), "s") + "s"
	return script{
		setup: importDates,
		value: fmt.Sprintf("str(%s %s timedelta(%s=%s))", dates[0], sign, unit, integer(groups[1])),
		lead:  "The date is",
	}, true
}

func now(a ask, _ []string) (script, bool) {
	s := script{setup: "from datetime import datetime", lead: "By the interpreter's clock, which knows no time zones, it is"}
	s.value = `datetime.now().strftime("%A, %d %B %Y, %H:%M")`
	return s, true
}
