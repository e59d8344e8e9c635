package demo

import (
	"fmt"
	"strconv"
)

// fileName is the piece of a pattern that finds a file's name. A name has an
// extension, and no directory but the one that files live in.
const fileName = "['\"`]?(?:/mnt/data/)?(\\w[\\w.-]*\\.[A-Za-z]\\w{0,7})['\"`]?"

var unquotedText = matching(`^(?:write|save|put|store)(?: the)?(?: text| words?)? (.+?) (?:to|in|into|as) `)

func pathOf(name string) string {
	return "Path(" + strconv.Quote("/mnt/data/"+name) + ")"
}

func writeFile(a ask, groups []string) (script, bool) {
	m := unquotedText.FindStringSubmatch(a.text)
	if m == nil {
		return script{}, false
	}
	e, ok := parseExpression(m[1], a.scope())
	switch {
	case ok && e.noIt:
		return script{reply: nothingToGoOn}, true
	case ok && (a.memory.names[e.python] || e.python == a.memory.it):
		return writing(groups[1], "str("+e.python+")")
	}
	if q, ok := a.quotedText(); ok && q != "" {
		return writing(groups[1], strconv.Quote(q))
	}
	return writing(groups[1], strconv.Quote(m[1]))
}

// createFile is for "create a file a.txt with 'some text'".
func createFile(a ask, groups []string) (script, bool) {
	if m := wholeQuote.FindStringSubmatch(groups[2]); m != nil {
		return writing(groups[1], strconv.Quote(firstGroup(m)))
	}
	return writing(groups[1], strconv.Quote(groups[2]))
}

// writing is the script that writes text, a Python expression, to a file.
func writing(name, text string) (script, bool) {
	return script{
		setup: "from pathlib import Path",
		value: fmt.Sprintf("%s.write_text(%s, encoding=\"utf-8\")", pathOf(name), text),
		lead:  "I wrote `/mnt/data/" + name + "`; its length in characters is",
	}, true
}

func readFile(_ ask, groups []string) (script, bool) {
	return script{
		setup: "from pathlib import Path\nprint(" + pathOf(groups[1]) + ".read_text(encoding=\"utf-8\"))",
		lead:  "`/mnt/data/" + groups[1] + "` holds",
	}, true
}

func listFiles(ask, []string) (script, bool) {
	return script{
		setup: "from pathlib import Path",
		value: `sorted(path.name for path in Path("/mnt/data").iterdir())`,
		lead:  "The files in `/mnt/data` are",
	}, true
}
