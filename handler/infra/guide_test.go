package infra

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const guide = root + "/docs/managed-identity.md"

// block is fenced text, by the language behind the fence.
type block struct{ language, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// readPage returns a page's fenced blocks, and its text without them.
func readPage(t *testing.T, path string) (blocks []block, prose string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block{m[1], m[2]})
	}
	return blocks, fence.ReplaceAllString(string(text), "")
}

// parses holds that a shell takes the commands. It runs none.
func parses(t *testing.T, commands string) {
	t.Helper()
	bash := exec.Command("bash", "-n")
	bash.Stdin = strings.NewReader(commands)
	if said, err := bash.CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, said, commands)
	}
}

// placeholder is what the README leaves to the reader.
var placeholder = regexp.MustCompile(`<[a-z]+>`)

func TestCommandsAreShell(t *testing.T) {
	seen := 0
	for _, path := range []string{guide, root + "/README.md"} {
		blocks, prose := readPage(t, path)
		for _, b := range blocks {
			if b.language == "sh" || b.language == "bash" {
				parses(t, b.text)
				seen++
			}
		}
		var indented strings.Builder
		for line := range strings.Lines(prose) {
			if command, found := strings.CutPrefix(line, "    "); found {
				indented.WriteString(placeholder.ReplaceAllString(command, "NAME"))
				seen++
			}
		}
		parses(t, indented.String())
	}
	if seen < 20 {
		t.Errorf("only %d commands were found", seen)
	}
}

var (
	roleRow  = regexp.MustCompile("(?m)^\\| ([^|]+) \\| `([0-9a-f-]{36})` \\|")
	roleUsed = regexp.MustCompile(`(?:--role|^assign|role) "([A-Z][^"]*)"`)
)

// The guide's table of roles is that of the templates, and its commands name no
// others.
func TestGuideRoles(t *testing.T) {
	blocks, prose := readPage(t, guide)
	got := object{}
	for _, m := range roleRow.FindAllStringSubmatch(prose, -1) {
		got[m[1]] = "'" + m[2] + "'"
	}
	want := open(t)["modules/roles.bicep"].get(t, "var", "roleIds").value.(object)
	if !maps.Equal(got, want) {
		t.Errorf("the guide's roles are %v, want %v", got, want)
	}
	assigned := map[string]bool{}
	for _, b := range blocks {
		for line := range strings.Lines(b.text) {
			for _, m := range roleUsed.FindAllStringSubmatch(line, -1) {
				assigned[m[1]] = true
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(assigned)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		t.Errorf("the guide's commands name the roles %q, want %q", got, want)
	}
}

// platform is what Azure or azidentity calls by these names
// (learn.microsoft.com/azure/app-service/overview-managed-identity; azidentity,
// environment_credential.go).
var platform = []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"}

var (
	settingName = regexp.MustCompile(`\b(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]\w*__\w+)\b`)
	// A placeholder is in capitals too, so that a shell makes nothing of it.
	ids = []string{"APP_ID"}
)

// Each setting that the guide names is read by the code, the host or azidentity,
// or is azd's own name for a parameter or an output.
func TestGuideSettings(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Parameters map[string]struct{ Value string }
	}
	readJSON(t, folder+"/main.parameters.json", &file)
	known := append(slices.Concat(platform, ids, slices.Collect(maps.Keys(hosts))), open(t)["main.bicep"].names("output")...)
	for _, p := range file.Parameters {
		known = append(known, settingName.FindString(p.Value))
	}
	named := settingName.FindAllString(string(text), -1)
	for _, name := range named {
		if !isSetting(name) && !slices.Contains(known, name) {
			t.Errorf("nothing reads %s", name)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(samples)), []string{"AZURE_TOKEN_CREDENTIALS"}) {
		if !slices.Contains(named, name) {
			t.Errorf("the guide does not name %s", name)
		}
	}
}

// sources are the packages whose words doctor's report is made of.
var sources = []string{"doctor", "identity", "llm", "interpreter", "store", "queue"}

// spoken returns the texts in the code of those packages, and the problems
// that doctor knows.
func spoken(t *testing.T) (texts, problems []string) {
	t.Helper()
	for _, name := range sources {
		paths, err := filepath.Glob(root + "/handler/" + name + "/*.go")
		if err != nil || len(paths) == 0 {
			t.Fatalf("package %s: %v", name, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "Problem" {
						problems = append(problems, strings.ReplaceAll(literal(n.Values[0]), "_", " "))
					}
				case ast.Expr:
					if text := literal(n); text != "" {
						texts = append(texts, text)
						return false
					}
				}
				return true
			})
		}
	}
	return texts, problems
}

// literal returns a string's value, or that of strings added up, else nothing.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		if left, right := literal(e.X), literal(e.Y); left != "" && right != "" {
			return left + right
		}
	}
	return ""
}

var verb = regexp.MustCompile(`%[sdvq]`)

// spokenBy returns what a cause is made of: texts with at least two words of
// their own, whatever stands for their verbs.
func spokenBy(t *testing.T, texts []string) *regexp.Regexp {
	t.Helper()
	var all []string
	for _, text := range texts {
		if strings.Count(verb.ReplaceAllString(text, ""), " ") < 2 || !strings.Contains(text, ".") {
			continue
		}
		parts := verb.Split(strings.TrimSpace(text), -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		all = append(all, strings.Join(parts, ".+?"))
	}
	return regexp.MustCompile(fmt.Sprintf("^(?:(?:%s) ?)+$", strings.Join(all, "|")))
}

var (
	headline = regexp.MustCompile(`(?m)^FAIL [A-Za-z ]+: (.+)$`)
	cause    = regexp.MustCompile(`(?m)^     cause     (.+)$`)
	remedy   = regexp.MustCompile(`(?m)^     (?:to do    |         ) (.+)$`)
)

// The reports in the guide are doctor's: its problems, its words, and commands
// that a shell takes.
func TestGuideShowsWhatDoctorSays(t *testing.T) {
	texts, problems := spoken(t)
	words := spokenBy(t, texts)
	blocks, _ := readPage(t, guide)
	shown := map[string]bool{}
	for _, b := range blocks {
		for _, m := range headline.FindAllStringSubmatch(b.text, -1) {
			shown[m[1]] = true
			if !slices.Contains(problems, m[1]) {
				t.Errorf("doctor knows no problem %q, of %q", m[1], problems)
			}
		}
		for _, m := range cause.FindAllStringSubmatch(b.text, -1) {
			if !words.MatchString(m[1]) {
				t.Errorf("doctor does not say: %s", m[1])
			}
		}
		if strings.Contains(b.text, "FAIL ") {
			for _, m := range remedy.FindAllStringSubmatch(b.text, -1) {
				parses(t, m[1])
			}
		}
	}
	for _, symptom := range []string{"no identity", "not signed in", "missing role", "token refused", "wrong audience", "unreachable", "wrong endpoint", "private network", "clock skew"} {
		if !shown[symptom] {
			t.Errorf("the guide does not show %q", symptom)
		}
	}
}

// The paths that the guide names are there.
func TestGuidePaths(t *testing.T) {
	_, prose := readPage(t, guide)
	for _, m := range regexp.MustCompile("`((?:infra|handler)/[^` ]+)`").FindAllStringSubmatch(prose, -1) {
		if _, err := fs.Stat(os.DirFS(root), m[1]); err != nil {
			t.Error(err)
		}
	}
}
