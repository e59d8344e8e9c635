package main_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const ours = "keyless/handler"

// only tells which of our packages a package may import, and why no others.
var only = map[string]struct {
	may []string
	why string
}{
	"fault":        {nil, "everything imports it"},
	"host":         {nil, "it is the platform's contract, and would be swapped with the platform"},
	"sessions":     {nil, "it is a client of its own, for use by others too"},
	"agent":        {nil, "the loop does no I/O and knows no service"},
	"identity":     {[]string{"fault"}, "adapters do not know each other"},
	"llm":          {[]string{"fault", "agent"}, "adapters do not know each other"},
	"store":        {[]string{"fault"}, "adapters do not know each other"},
	"interpreter":  {[]string{"fault", "agent", "sessions"}, "it is what joins a tool to the session pool, and no more"},
	"doctor":       {[]string{"fault"}, "it is handed calls to make, and maps their fault codes"},
	"queue":        {[]string{"fault"}, "adapters do not know each other"},
	"jobs":         {[]string{"fault", "agent", "conversation"}, "a use case declares what it needs of adapters"},
	"conversation": {[]string{"fault", "agent"}, "a use case declares what it needs of adapters"},
}

// alone tells which of our packages alone may import a module, and why.
var alone = map[string]struct {
	by  []string
	why string
}{
	"github.com/openai/openai-go":                                  {[]string{"llm"}, "another provider is another package"},
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity":             {[]string{"identity"}, "there is one credential"},
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob":         {[]string{"store"}, "storage errors are classified in one place"},
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus": {[]string{"queue", "localazure/trigger"}, "there is one client, and the host's stand-in"},
}

func TestImportRules(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, ours+"/")
		rule, bound := only[name]
		for _, imported := range p.Imports {
			our, isOurs := strings.CutPrefix(imported, ours+"/")
			if bound && isOurs && !slices.Contains(rule.may, our) {
				t.Errorf("%s imports %s: %s", name, our, rule.why)
			}
			for module, only := range alone {
				if strings.HasPrefix(imported, module) && !slices.Contains(only.by, name) {
					t.Errorf("%s imports %s, which only %q may: %s", name, imported, only.by, only.why)
				}
			}
		}
	}
}

func TestNothingSimulatedIsDeployed(t *testing.T) {
	for _, p := range list(t, "-deps", ".") {
		switch {
		case strings.HasPrefix(p.ImportPath, ours+"/local"):
			t.Errorf("the deployed binary holds %s", p.ImportPath)
		case p.ImportPath == "github.com/openai/openai-go/v3":
			t.Error("the deployed binary holds openai-go's root package, which costs it 14 MB; import responses alone")
		case strings.HasPrefix(p.ImportPath, "github.com/tetratelabs/wazero"):
			t.Errorf("the deployed binary holds %s", p.ImportPath)
		}
	}
}

type listed struct {
	ImportPath string
	Imports    []string
}

// list asks the go command for packages.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
