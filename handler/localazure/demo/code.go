package demo

import (
	"regexp"
	"slices"
	"strings"
)

var (
	fence     = regexp.MustCompile("(?s)```[ \\t]*([\\w+#.-]*)[^\\n`]*\\n(.*?)(?:```|$)")
	oneLiner  = regexp.MustCompile("```([^`\\n]+)```")
	runColon  = matching(`^[^\n:]*\b(?:run|execute|exec|eval)\b(?:\s+(?:this|that|the|some|my|following|python|code|snippet|program|script|line|for me|please))*\s*:`)
	inline    = regexp.MustCompile("`([^`]+)`")
	looksRun  = matching(`^(?s)(?:run|execute|exec|eval)\s+(?:this\s+|the following\s+)?(?:python\s+)?(?:code\s+)?((?:print|import|from|def|for|while)\b.*|[A-Za-z_][\w.]*\(.*\)|.*\n.*)$`)
	codeLine  = regexp.MustCompile(`^\s*(?:$|#|[A-Za-z_]\w*(?:,\s*\w+)*\s*(?:[-+*/]?=)[^=]|(?:import|from|return|raise|with|if|elif)\s.*|(?:def|class|for|while)\s.*:|(?:else|try|finally|except.*):|[\w.]+\(.*\)\s*$|[)\]}]+\s*$)`)
	languages = []string{"", "python", "py", "python3", "ipython"}
)

// runFence runs the first fenced block as it stands.
func runFence(a ask, _ []string) (script, bool) {
	if m := oneLiner.FindStringSubmatch(a.whole); m != nil {
		return given(m[1])
	}
	m := fence.FindStringSubmatch(a.whole)
	switch {
	case m == nil:
		return script{}, false
	case !slices.Contains(languages, strings.ToLower(m[1])):
		return script{reply: "I can run Python only, and this block says that it is something else."}, true
	}
	return given(m[2])
}

// runGiven runs what follows "run:", or what stands in backticks after "run".
func runGiven(a ask, _ []string) (script, bool) {
	if m := inline.FindStringSubmatch(a.whole); m != nil {
		return given(m[1])
	}
	if prefix := runColon.FindString(a.whole); prefix != "" {
		return given(strings.TrimLeft(a.whole[len(prefix):], " \t"))
	}
	if m := looksRun.FindStringSubmatch(a.whole); m != nil {
		return given(m[1])
	}
	return script{}, false
}

// runBare runs a message that is plainly code, without a fence around it.
func runBare(a ask, groups []string) (script, bool) {
	if at := strings.Index(a.whole, strings.TrimRight(groups[0], ";,")); at >= 0 {
		return given(a.whole[at:])
	}
	return script{}, false
}

// runLines runs a message of several lines of which each is plainly code.
func runLines(a ask, _ []string) (script, bool) {
	if !strings.Contains(a.whole, "\n") {
		return script{}, false
	}
	for line := range strings.Lines(a.whole) {
		if !codeLine.MatchString(line) {
			return script{}, false
		}
	}
	return given(a.whole)
}

func runAgain(a ask, _ []string) (script, bool) {
	if a.memory.lastCode == "" {
		return script{reply: "Nothing has run in this conversation yet."}, true
	}
	return given(a.memory.lastCode)
}

// given is a script of the caller's own code.
func given(code string) (script, bool) {
	code = strings.Trim(code, "\r\n")
	return script{setup: code}, strings.TrimSpace(code) != ""
}
