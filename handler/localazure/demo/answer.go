package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// What the planner says of itself.
const (
	signature = "(Answered by the demo model; set AZURE_OPENAI_ENDPOINT for a real one.)"

	whoIAm = "I am the demo model: a small fixed planner and not a language model, so I cannot answer that. " +
		"What I can do is write Python for common requests (arithmetic, statistics, primes, dates, units, text, files, simulations, " +
		"plots, your own code) and run it for real, and variables are kept for the next question. Try one of these:\n\n" +
		"- `what is 15% of 240`\n- `simulate rolling 2 dice 1000 times`\n- `let x = 12`, and then `what is x squared`"

	noTool = "I would run Python for this, but the tool `" + toolName + "` is not offered to me here."

	nothingToGoOn = "There is no earlier result in this conversation to go on with. Compute something first, for example `23 * 19`."
)

// Bounds of what an answer quotes.
const (
	maxQuotedBytes = 1500
	maxQuotedLines = 30
	maxInlineBytes = 100
)

// answer says what came of the last try.
func answer(s script, tries []try) string {
	last := tries[len(tries)-1]
	var parts []string
	if len(tries) > 1 {
		parts = append(parts, corrected(tries[0].output))
	}
	if last.output.succeeded() {
		parts = append(parts, success(s, last.output)...)
	} else {
		parts = append(parts, failure(last)...)
	}
	if last.output.cut {
		parts = append(parts, "The tool left out a part of the output, which was too long.")
	}
	return strings.Join(parts, "\n\n")
}

// corrected tells of a first try that failed.
func corrected(first output) string {
	return "My first try raised " + quote(first.exception()) + "; I corrected the code and ran it again."
}

// success quotes what was printed and the last value.
func success(s script, out output) []string {
	var parts []string
	lead := s.lead
	printed := strings.TrimRight(out.stdout, " \r\n")
	value := out.value()
	if printed != "" {
		intro := "It printed:"
		if value == "" && lead != "" {
			intro = lead + ":"
		}
		parts = append(parts, intro+"\n"+block(printed))
	}
	if value != "" {
		if lead == "" {
			lead = "The result is"
		}
		parts = append(parts, sentence(lead, value))
	}
	if warning := strings.TrimSpace(out.stderr); warning != "" {
		parts = append(parts, "On stderr:\n"+block(warning))
	}
	if len(parts) == 0 {
		parts = append(parts, "It ran without an error and printed nothing.")
	}
	if s.note != "" {
		parts = append(parts, s.note)
	}
	return parts
}

// failure explains a run that did not succeed.
func failure(t try) []string {
	var parts []string
	if printed := strings.TrimSpace(t.output.stdout); printed != "" {
		parts = append(parts, "Before it failed it printed:\n"+block(printed))
	}
	switch {
	case t.output.status == "":
		return []string{"The run was rejected: " + quote(t.output.reason)}
	case !t.output.raised():
		return append(parts, cmp.Or(endings[t.output.cause], "The run failed ("+t.output.cause+")."))
	}
	return append(parts, "Python raised "+quote(t.output.exception())+". "+explain(t.output.exception()))
}

// endings explain the runs that did not come to their end.
var endings = map[string]string{
	"timed out":        "The code ran into its time limit and was stopped. Files are kept; variables may be lost. Ask for less, or run it as a job with more time.",
	"aborted":          "The run was aborted before it came to an end, so there is no result.",
	"kernel restarted": "The Python interpreter had to be restarted: the variables of this conversation are lost, the files in `/mnt/data` are kept. Set the variables again before you go on.",
}

// sentence puts a short value into the sentence, a long one below it.
func sentence(lead, value string) string {
	if len(value) <= maxInlineBytes && !strings.Contains(value, "\n") {
		return lead + " " + quote(value) + "."
	}
	return lead + ":\n" + block(value)
}

// quote puts text into inline code, or into a block if it would break out of it.
func quote(text string) string {
	if strings.ContainsAny(text, "`\n") {
		return "\n" + block(text)
	}
	return "`" + shorten(text) + "`"
}

// block puts text into a code block whose fence the text does not hold.
func block(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + shorten(text) + "\n" + fence
}

// shorten cuts a long text and says so.
func shorten(text string) string {
	lines := slices.Collect(strings.Lines(text))
	short := strings.Join(lines[:min(len(lines), maxQuotedLines)], "")
	if len(short) > maxQuotedBytes {
		end := maxQuotedBytes
		for !utf8.RuneStart(short[end]) {
			end--
		}
		short = short[:end]
	}
	if len(short) == len(text) {
		return text
	}
	return strings.TrimRight(short, "\n") + fmt.Sprintf("\n[… %d bytes more]", len(text)-len(short))
}
