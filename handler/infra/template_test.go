package infra

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	folder = root + "/infra"
)

// files returns the paths of all files inside the folder infra.
func files(t *testing.T) (all []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Bicep is what is kept; what it compiles to is not.
func TestOnlySources(t *testing.T) {
	for _, path := range files(t) {
		if filepath.Ext(path) != ".bicep" && path != "main.parameters.json" && path != "bicepconfig.json" {
			t.Errorf("infra/%s is neither a template nor its configuration", path)
		}
	}
}

// functions are those that our templates call. Their results follow from their
// arguments and the place alone, so that a second deployment changes nothing:
// utcNow and newGuid are not among them, nor any list… function.
var functions = []string{"empty", "environment", "guid", "resourceGroup", "subscription", "subscriptionResourceId", "tenant", "union", "uniqueString",
	"if", "allowed", "description", "minLength", "maxLength", "minValue", "maxValue"}

var (
	plain = regexp.MustCompile(`\$\{([^}]*)\}|'|[^'$]+|\$`)
	word  = regexp.MustCompile(`(\.?)\b([A-Za-z_]\w*)( ?\()?(\s*:)?`)
)

// references returns the names that text uses, functions with a "(" after them.
func references(text string) (all []string) {
	quoted := false
	for _, part := range plain.FindAllStringSubmatch(text, -1) {
		switch {
		case part[0] == "'":
			quoted = !quoted
			continue
		case quoted && part[1] == "":
			continue
		}
		for _, w := range word.FindAllStringSubmatch(part[0], -1) {
			if member, property := w[1] != "", w[4] != ""; !member && !property {
				all = append(all, w[2]+strings.TrimSpace(w[3]))
			}
		}
	}
	return all
}

// Whatever a template names is declared in it, and what it declares it uses.
func TestSymbols(t *testing.T) {
	for path, file := range open(t) {
		used := map[string]bool{}
		for _, d := range file.declarations {
			// What stands before the "=" is a type.
			_, right, _ := strings.Cut(d.text, "=")
			if !strings.Contains(d.text, "=") {
				right = strings.TrimPrefix(d.text, d.of)
			}
			for _, name := range references(d.decorators + right) {
				used[name] = true
			}
		}
		declared := []string{"true", "false", "null"}
		for _, d := range file.declarations {
			if d.kind != "output" {
				declared = append(declared, d.name)
			}
			if (d.kind == "param" || d.kind == "var" || d.existing) && !used[d.name] {
				t.Errorf("infra/%s: nothing uses %s %s", path, d.kind, d.name)
			}
		}
		for name := range used {
			function, call := strings.CutSuffix(name, "(")
			if !slices.Contains(declared, name) && !(call && slices.Contains(functions, function)) {
				t.Errorf("infra/%s uses %s, which is not declared", path, name)
			}
		}
	}
}

var outputs = regexp.MustCompile(`\b(\w+)\.outputs\.(\w+)`)

// A module is given the parameters that it has, and asked for outputs that it
// has.
func TestModules(t *testing.T) {
	templates := open(t)
	for path, file := range templates {
		for _, d := range file.declarations {
			if d.kind == "module" {
				testParameters(t, "infra/"+path+": "+d.name, templates[filepath.Join(filepath.Dir(path), d.of)], at(d.value, "params").(object))
			}
			for _, m := range outputs.FindAllStringSubmatch(d.text, -1) {
				module := file.get(t, "module", m[1])
				templates[filepath.Join(filepath.Dir(path), module.of)].get(t, "output", m[2])
			}
		}
	}
}

// testParameters holds what is given to what a template takes.
func testParameters(t *testing.T, where string, to template, given object) {
	t.Helper()
	declared := to.names("param")
	for name := range given {
		if !slices.Contains(declared, name) {
			t.Errorf("%s is given %s, which %q has not", where, name, to.path)
		}
	}
	for _, name := range declared {
		if _, found := given[name]; !found && to.get(t, "param", name).value == nil {
			t.Errorf("%s is not given %s", where, name)
		}
	}
}

// What azd gives to the main template is what it takes. A default that stands in
// both files is the same.
func TestParametersFile(t *testing.T) {
	var file struct {
		Parameters map[string]struct{ Value string }
	}
	text, err := os.ReadFile(folder + "/main.parameters.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	given, main := object{}, open(t)["main.bicep"]
	for name, p := range file.Parameters {
		given[name] = p.Value
	}
	testParameters(t, "infra/main.parameters.json", main, given)
	for name, p := range file.Parameters {
		_, ours, found := strings.Cut(strings.TrimSuffix(p.Value, "}"), "=")
		if want := main.get(t, "param", name).value; found && want != "'"+ours+"'" {
			t.Errorf("%s is %q by default, and %v in main.bicep", name, ours, want)
		}
	}
}

// azd finds the app by its tag, and packs what make dist stages.
func TestAzureYAML(t *testing.T) {
	text, err := os.ReadFile(root + "/azure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tags := at(open(t)["modules/function.bicep"].get(t, "resource", "app").value, "tags").(string)
	for _, want := range []string{"\n  agent:\n", "\n    host: function\n", "\n    language: custom ", "\n    dist: dist\n", "\n      prepackage:\n", "\n        run: make dist\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("azure.yaml has no %q", want)
		}
	}
	if !strings.Contains(tags, "'azd-service-name': 'agent'") {
		t.Errorf("the app's tags are %s", tags)
	}
}
