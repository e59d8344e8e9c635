package demo

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// output is a tool output taken apart.
type output struct {
	status string // "succeeded" or "failed"; empty if the run was rejected or the text is odd
	cause  string // why it failed: "raised", "timed out", "aborted", "kernel restarted"
	stdout string
	stderr string
	result string // the last expression's repr
	reason string // why the run was rejected, or the whole of an odd text
	cut    bool   // the tool left out a part
}

var (
	statusLine = regexp.MustCompile(`^status:\s*(succeeded|failed)\s*(?:\((.*)\))?\s*$`)
	cutNote    = regexp.MustCompile(`^\[\d+ [^\]]*left out\]$`)
)

// sections in the order in which the tool writes them. A heading counts only
// after its predecessors, so that most output that looks like one does no harm.
var sections = []string{"stdout:", "stderr:", "result:"}

// readOutput takes a tool output apart. It accepts any text: what is not of
// the tool's form becomes the reason.
func readOutput(text string) output {
	first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	m := statusLine.FindStringSubmatch(strings.TrimSpace(first))
	if m == nil {
		return output{reason: strings.TrimSpace(strings.TrimPrefix(text, "error:"))}
	}
	out := output{status: m[1], cause: m[2]}
	into := []*string{&out.stdout, &out.stderr, &out.result}
	at := -1
	for line := range strings.Lines(rest) {
		bare := strings.TrimRight(line, " \r\n")
		switch i := slices.Index(sections, bare); {
		case i > at:
			at = i
		case cutNote.MatchString(bare):
			out.cut = true
		case at >= 0:
			*into[at] += line
		}
	}
	return out
}

func (o output) succeeded() bool     { return o.status == "succeeded" }
func (o output) raised() bool        { return o.status == "failed" && (o.cause == "raised" || o.cause == "") }
func (o output) lostVariables() bool { return o.cause == "kernel restarted" }

// value returns the last expression's repr; empty if there was none, or None,
// which is what a call for its effect leaves.
func (o output) value() string {
	if v := strings.TrimSpace(o.result); v != "None" {
		return v
	}
	return ""
}

var (
	colors        = regexp.MustCompile(`\x1b\[[0-9;]*m`)
	exceptionLine = regexp.MustCompile(`^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Iteration|Warning|Group)\b`)
)

// exception returns the line that ends a traceback, such as
// "ZeroDivisionError: division by zero". Some kernels color it. Where a long
// output lost its headings, the traceback is part of stdout.
func (o output) exception() string {
	text := cmp.Or(strings.TrimSpace(o.stderr), strings.TrimSpace(o.stdout))
	lines := strings.Split(colors.ReplaceAllString(text, ""), "\n")
	for _, line := range slices.Backward(lines) {
		if exceptionLine.MatchString(line) {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
