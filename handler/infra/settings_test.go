package infra

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/handler/app"
	"keyless/handler/jobs"
)

// samples has a value of the form that Azure gives for each setting that the
// templates make.
var samples = map[string]string{
	"AZURE_OPENAI_ENDPOINT":                         "https://agent-openai-x.openai.azure.com/",
	"AZURE_OPENAI_DEPLOYMENT":                       "gpt-5-mini",
	"AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT":    "https://eastus.dynamicsessions.io/subscriptions/s/resourceGroups/g/sessionPools/agent-sessions-x",
	"SESSION_POOL_AUDIENCE":                         "https://dynamicsessions.io/.default",
	"ServiceBusConnection__fullyQualifiedNamespace": "agent-bus-x.servicebus.windows.net",
	"JOBS_QUEUE": "jobs",
}

// hosts are settings that others read: the Functions host and, of the last,
// azidentity. The code takes its storage account from the first.
var hosts = map[string]string{
	"AzureWebJobsStorage__accountName":          "agentstx",
	"APPLICATIONINSIGHTS_CONNECTION_STRING":     "InstrumentationKey=0;IngestionEndpoint=https://x",
	"APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD",
	"AZURE_TOKEN_CREDENTIALS":                   "ManagedIdentityCredential",
}

// appSettings returns the settings of the deployed app.
func appSettings(t *testing.T) object {
	t.Helper()
	settings := at(open(t)["agent.bicep"].get(t, "module", "functionApp").value, "params.settings").(string)
	literal, found := strings.CutPrefix(settings, "union(agentSettings, ")
	if !found {
		t.Fatalf("the settings are %s", settings)
	}
	all, ok := (&reader{strings.TrimSuffix(literal, ")")}).value().(object)
	if !ok {
		t.Fatalf("the settings are %s", literal)
	}
	return all
}

// load reads the configuration as the app would with these settings.
func load(t *testing.T, settings map[string]string) app.Config {
	t.Helper()
	config, err := app.LoadConfig(func(name string) string { return settings[name] }, false)
	if err != nil {
		t.Error(err)
	}
	return config
}

// The app is given what the code and the host read, no less and no more, and can
// start with it.
func TestAppSettings(t *testing.T) {
	given := appSettings(t)
	want := maps.Clone(samples)
	maps.Copy(want, hosts)
	if got, want := slices.Sorted(maps.Keys(given)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		t.Errorf("the app's settings are\n%q, want\n%q", got, want)
	}
	if got := load(t, want); got.BlobEndpoint != "https://agentstx.blob.core.windows.net" || got.BusNamespace == "" {
		t.Errorf("the configuration is %+v", got)
	}
	for name := range samples {
		if !isSetting(name) {
			t.Errorf("the code does not read %s", name)
		}
	}
	for _, name := range []string{"APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "AZURE_TOKEN_CREDENTIALS"} {
		if given[name] != "'"+hosts[name]+"'" {
			t.Errorf("%s is %v", name, given[name])
		}
	}
}

func isSetting(name string) bool {
	return slices.ContainsFunc(app.Settings[:], func(s app.Setting) bool { return s.Name == name })
}

// `azd env get-values` is a .env: a run on a laptop can start with the outputs
// that are settings, and the others do not look like settings.
func TestOutputs(t *testing.T) {
	templates := open(t)
	env := map[string]string{}
	var others []string
	for _, name := range templates["main.bicep"].names("output") {
		if isSetting(name) {
			env[name] = samples[name]
		} else {
			others = append(others, name)
		}
	}
	env["AGENT_STORAGE_BLOB_ENDPOINT"] = "https://agentstx.blob.core.windows.net/"
	load(t, env)
	for name := range samples {
		if env[name] == "" {
			t.Errorf("%s is no output", name)
		}
	}
	if slices.Sort(others); !slices.Equal(others, []string{"AGENT_FUNCTION_APP", "AGENT_URL", "AZURE_RESOURCE_GROUP"}) {
		t.Errorf("outputs that are no settings: %q", others)
	}
	for _, name := range templates["agent.bicep"].names("output") {
		if got, want := templates["main.bicep"].get(t, "output", name).value, "agent.outputs."+name; got != want {
			t.Errorf("the output %s is %v, want %s", name, got, want)
		}
	}
	settings := appSettings(t)
	for name := range samples {
		if got, want := templates["agent.bicep"].get(t, "output", name).value, settings[name]; got != want {
			t.Errorf("%s is %v for a laptop, and %v in Azure", name, got, want)
		}
	}
}

// What is a default in the code has the same value in the templates, where they
// both name it.
func TestDefaults(t *testing.T) {
	templates := open(t)
	for name, got := range map[string]any{
		"AGENT_STORAGE_CONTAINER": templates["modules/storage.bicep"].get(t, "var", "stateName").value,
		"SESSION_POOL_AUDIENCE":   templates["agent.bicep"].get(t, "var", "sessionPoolAudience").value,
		"JOBS_QUEUE":              at(templates["modules/bus.bicep"].get(t, "resource", "queue").value, "name"),
	} {
		i := slices.IndexFunc(app.Settings[:], func(s app.Setting) bool { return s.Name == name })
		if i < 0 || got != "'"+app.Settings[i].Default+"'" {
			t.Errorf("%s is %v in the templates", name, got)
		}
	}
}

// The queue is such as the trigger and the code expect it.
func TestQueue(t *testing.T) {
	queue := at(open(t)["modules/bus.bicep"].get(t, "resource", "queue").value, "properties").(object)
	want := object{
		"requiresSession": "true", "requiresDuplicateDetection": "true", "duplicateDetectionHistoryTimeWindow": "'PT10M'",
		"lockDuration": "'PT1M'", "maxDeliveryCount": constant(t, root+"/handler/app/jobs.go", "maxDeliveries"),
		"defaultMessageTimeToLive": "'P7D'", "deadLetteringOnMessageExpiration": "true",
	}
	if !maps.Equal(queue, want) {
		t.Errorf("the queue is %v, want %v", queue, want)
	}
	var deliveries int
	if _, err := fmt.Sscan(want["maxDeliveryCount"].(string), &deliveries); err != nil || deliveries <= jobs.MaxAttempts {
		t.Errorf("%d deliveries do not leave room for %d attempts", deliveries, jobs.MaxAttempts)
	}

	var trigger struct {
		Bindings []struct {
			Type, QueueName, Connection string
			IsSessionsEnabled           bool
		}
	}
	readJSON(t, root+"/functions/run-job/function.json", &trigger)
	if b := trigger.Bindings[0]; !b.IsSessionsEnabled || b.QueueName != "%JOBS_QUEUE%" || b.Connection != "ServiceBusConnection" {
		t.Errorf("the trigger is %+v", b)
	}
	var host struct {
		Extensions struct {
			ServiceBus struct{ MaxAutoLockRenewalDuration string }
		}
	}
	readJSON(t, root+"/host.json", &host)
	if renewal, err := time.Parse(time.TimeOnly, host.Extensions.ServiceBus.MaxAutoLockRenewalDuration); err != nil || renewal.Minute() <= 1 {
		t.Errorf("the host renews a lock of one minute for %v (%v)", renewal, err)
	}
}

// The app is made after the container that it takes its code from.
func TestOrder(t *testing.T) {
	templates := open(t)
	url, _ := templates["modules/storage.bicep"].get(t, "output", "deploymentContainerUrl").value.(string)
	if !strings.HasSuffix(url, "${deploymentContainer.name}'") {
		t.Errorf("the deployment container is at %s", url)
	}
	if got := at(templates["agent.bicep"].get(t, "module", "functionApp").value, "params.deploymentContainerUrl"); got != "storage.outputs.deploymentContainerUrl" {
		t.Errorf("the app takes its code from %v", got)
	}
}

// With sign-in, what nobody needs to sign in for is what needs no key either.
func TestSignIn(t *testing.T) {
	var anonymous list
	folders, err := os.ReadDir(root + "/functions")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		var function struct {
			Bindings []struct{ Type, AuthLevel, Route string }
		}
		readJSON(t, root+"/functions/"+f.Name()+"/function.json", &function)
		if b := function.Bindings[0]; b.Type == "httpTrigger" && b.AuthLevel == "anonymous" {
			anonymous = append(anonymous, "'/api/"+b.Route+"'")
		}
	}
	rules := at(open(t)["modules/function.bicep"].get(t, "resource", "signIn").value, "properties.globalValidation").(object)
	if got, _ := rules["excludedPaths"].(list); !slices.Equal(got, anonymous) || rules["requireAuthentication"] != "true" || rules["unauthenticatedClientAction"] != "'Return401'" {
		t.Errorf("the rules are %v; without a key there are %v", rules, anonymous)
	}
}

// State ends after its time: a job's a day after the code stops to show it. The
// folders are those that the code writes to.
func TestLifecycle(t *testing.T) {
	policy := at(open(t)["modules/storage.bicep"].get(t, "resource", "lifecycle").value, "properties.policy.rules").(list)
	got := map[string]any{}
	for _, rule := range policy {
		if at(rule, "enabled") != "true" || at(rule, "type") != "'Lifecycle'" {
			t.Errorf("the rule %v is off", rule)
		}
		for _, prefix := range at(rule, "definition.filters.prefixMatch").(list) {
			got[prefix.(string)] = at(rule, "definition.actions.baseBlob.delete.daysAfterModificationGreaterThan")
		}
	}
	if want := (map[string]any{"'${stateName}/conversations/'": "30", "'${stateName}/jobs/'": "8"}); !maps.Equal(got, want) {
		t.Errorf("state ends after %v days, want %v", got, want)
	}
	for path, prefix := range map[string]string{"jobs/record.go": `Folder("jobs"`, "conversation/conversation.go": `Folder("conversations"`} {
		if text, err := os.ReadFile(root + "/handler/" + path); err != nil || !strings.Contains(string(text), prefix) {
			t.Errorf("handler/%s keeps nothing in %s (%v)", path, prefix, err)
		}
	}
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}

// constant returns the source of an unexported constant.
func constant(t *testing.T, path, name string) (source string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == name {
			source = spec.Values[0].(*ast.BasicLit).Value
		}
		return true
	})
	return source
}
