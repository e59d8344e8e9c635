package demo

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"keyless/handler/localazure"
)

// turn is what the planner goes by: the last user message, what has been run
// since, and what is remembered from before.
type turn struct {
	message string
	tries   []try
	memory  memory
	offered bool // the tool may be called
}

// try is one run of code and what came of it.
type try struct {
	code   string
	output output
}

// memory is what earlier turns left in the interpreter, as far as the
// transcript tells.
type memory struct {
	names    map[string]bool // variables and functions that earlier code made
	it       string          // the Python name for "it": the last value; empty if there is none
	lastCode string          // the code that ran last, for "again"
}

// readTurn splits the transcript at its last user message.
func readTurn(t localazure.Transcript) turn {
	start := len(t.Entries)
	for i, e := range slices.Backward(t.Entries) {
		if e.User != "" {
			start = i
			break
		}
	}
	turn := turn{
		memory:  remember(readTries(t.Entries[:start])),
		offered: slices.Contains(t.Tools, toolName),
	}
	if start < len(t.Entries) {
		turn.message = t.Entries[start].User
		turn.tries = readTries(t.Entries[start:])
	}
	return turn
}

// readTries pairs the calls with their outputs. A call without an output has
// not run and is left out.
func readTries(entries []localazure.Entry) []try {
	outputs := map[string]string{}
	for _, e := range entries {
		if e.Output != nil {
			outputs[e.Output.CallID] = e.Output.Text
		}
	}
	var tries []try
	for _, e := range entries {
		if e.Call == nil {
			continue
		}
		if text, ok := outputs[e.Call.ID]; ok {
			tries = append(tries, try{codeOf(*e.Call), readOutput(text)})
		}
	}
	return tries
}

// codeOf returns the code of a call, or nothing if its arguments are odd.
func codeOf(c localazure.ToolCall) string {
	var arguments struct {
		Code string `json:"code"`
	}
	if json.Unmarshal([]byte(c.Arguments), &arguments) != nil {
		return ""
	}
	return arguments.Code
}

// remember goes through the earlier runs, oldest first.
func remember(tries []try) memory {
	m := memory{names: map[string]bool{}}
	for _, t := range tries {
		m.lastCode = t.code
		switch {
		case t.output.lostVariables():
			m.names, m.it = map[string]bool{}, ""
		case t.output.succeeded():
			assigned := namesBy(assignment, t.code)
			for _, name := range slices.Concat(assigned, namesBy(definition, t.code)) {
				m.names[name] = true
			}
			m.it = lastValue(t.output, assigned)
		}
	}
	return m
}

// lastValue returns the name under which the interpreter has the value that a
// run ended with. The interpreter keeps the value of a last expression in "_".
func lastValue(out output, assigned []string) string {
	switch {
	case out.value() != "":
		return "_"
	case len(assigned) > 0:
		return assigned[len(assigned)-1]
	}
	return ""
}

var (
	assignment = regexp.MustCompile(`(?m)^([A-Za-z_]\w*(?:[ \t]*,[ \t]*[A-Za-z_]\w*)*)[ \t]*(?::[^=\n]+)?(?:[-+*/%&|^@]|\*\*|//|<<|>>)?=(?:[^=]|$)`)
	definition = regexp.MustCompile(`(?m)^(?:async def|def|class|for)[ \t]+([A-Za-z_]\w*)`)
	nameComma  = regexp.MustCompile(`[ \t]*,[ \t]*`)
)

// namesBy returns the names that a pattern finds in code. It looks at the
// beginnings of lines, which is enough here: a name too many costs a
// NameError, which the planner can explain.
func namesBy(pattern *regexp.Regexp, code string) []string {
	var names []string
	for _, m := range pattern.FindAllStringSubmatch(code, -1) {
		names = append(names, nameComma.Split(m[1], -1)...)
	}
	return slices.DeleteFunc(names, func(name string) bool { return !usableName(name) })
}

// keywords are Python's reserved words.
var keywords = strings.Fields("False None True and as assert async await break class continue def del elif else " +
	"except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield")

// usableName reports whether a name from a message may stand in code.
func usableName(name string) bool {
	return name != "_" && !strings.HasPrefix(name, "__") && !slices.Contains(keywords, name)
}
