package app

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// root is the repository's, as seen from this package.
const root = "../.."

// binding is a binding in a function.json.
type binding struct {
	Name, Type, Direction, AuthLevel, Route string
	Methods                                 []string
	QueueName, Connection                   string
	IsSessionsEnabled                       bool
}

// functions reads functions/*/function.json.
func functions(t *testing.T) map[string][]binding {
	t.Helper()
	files, err := filepath.Glob(root + "/functions/*/function.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	all := map[string][]binding{}
	for _, file := range files {
		var content struct{ Bindings []binding }
		read(t, file, &content)
		all[filepath.Base(filepath.Dir(file))] = content.Bindings
	}
	return all
}

func read(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// What the host is told and what the app serves are the same, both ways.
func TestFunctionsAreTheRoutes(t *testing.T) {
	offered := map[string]string{}
	for name, bindings := range functions(t) {
		if name == "run-job" {
			continue // see TestRunJobIsWhatTheQueueTriggers
		}
		if len(bindings) != 2 || bindings[0].Type != "httpTrigger" || bindings[1].Type != "http" {
			t.Errorf("%s has bindings %+v: with anything but one httpTrigger and one http output the host posts envelopes", name, bindings)
			continue
		}
		slices.Sort(bindings[0].Methods)
		offered[name] = fmt.Sprint("/api/"+bindings[0].Route, bindings[0].AuthLevel, bindings[0].Methods)
	}
	served := map[string]string{}
	for _, r := range (&App{}).routes() {
		var methods []string
		for method := range r.methods {
			methods = append(methods, strings.ToLower(method))
		}
		slices.Sort(methods)
		served[r.function] = fmt.Sprint(r.path, r.auth, methods)
	}
	for name := range offered {
		if offered[name] != served[name] {
			t.Errorf("functions/%s says %s, the route table %q", name, offered[name], served[name])
		}
		delete(served, name)
	}
	for name := range served {
		t.Errorf("the route table has %s, and functions/ does not", name)
	}
}

func TestRunJobIsWhatTheQueueTriggers(t *testing.T) {
	b := functions(t)["run-job"]
	if len(b) != 1 || b[0].Type != "serviceBusTrigger" || b[0].Name != jobBinding || b[0].QueueName != "%JOBS_QUEUE%" ||
		b[0].Connection != "ServiceBusConnection" || !b[0].IsSessionsEnabled {
		t.Errorf("functions/run-job: %+v", b)
	}
	w := httptest.NewRecorder()
	(&App{log: slog.New(slog.DiscardHandler)}).Handler().ServeHTTP(w, httptest.NewRequest("POST", "/run-job", nil))
	if w.Code == http.StatusNotFound {
		t.Error("nothing serves the messages that the host posts to /run-job")
	}
}

// A job ends before the lock of its message does, and that before the host
// kills the process.
func TestTheOrderOfTimeLimits(t *testing.T) {
	var host struct {
		FunctionTimeout string
		Extensions      struct {
			ServiceBus struct{ MaxAutoLockRenewalDuration string }
		}
	}
	read(t, root+"/host.json", &host)
	clock := func(text string) (d time.Duration) {
		var h, m, s time.Duration
		if _, err := fmt.Sscanf(text, "%d:%d:%d", &h, &m, &s); err != nil {
			t.Fatal(err)
		}
		return h*time.Hour + m*time.Minute + s*time.Second
	}
	renewal, function := clock(host.Extensions.ServiceBus.MaxAutoLockRenewalDuration), clock(host.FunctionTimeout)
	if !(requestTime < jobTime && jobTime < renewal && renewal <= function) {
		t.Errorf("limits: request %v, job %v, lock renewal %v, function %v", requestTime, jobTime, renewal, function)
	}
}

func TestHostJSON(t *testing.T) {
	var host struct {
		CustomHandler struct {
			Description                                            struct{ DefaultExecutablePath string }
			EnableProxyingHTTPRequest, EnableForwardingHTTPRequest bool
		}
		Extensions struct {
			HTTP struct{ RoutePrefix string }
		}
	}
	read(t, root+"/host.json", &host)
	c := host.CustomHandler
	// "handler", not "./handler": Core Tools gives the executable bit to the
	// zip entry of exactly this name.
	if c.Description.DefaultExecutablePath != "handler" || !c.EnableProxyingHTTPRequest || !c.EnableForwardingHTTPRequest || host.Extensions.HTTP.RoutePrefix != "api" {
		t.Errorf("host.json: %+v", host)
	}
}

// The settings in the example and in the README are those that are read, with
// their defaults.
func TestSettingsAreDocumented(t *testing.T) {
	var example struct{ Values map[string]string }
	read(t, root+"/local.settings.json.example", &example)
	readme, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings {
		value, ok := example.Values[s.Name]
		if !ok {
			t.Errorf("local.settings.json.example lacks %s", s.Name)
		}
		if value != "" && value != s.Default {
			t.Errorf("local.settings.json.example sets %s to %q, the default is %q", s.Name, value, s.Default)
		}
		if !strings.Contains(string(readme), "| `"+s.Name+"` |") {
			t.Errorf("the README's table lacks %s", s.Name)
		}
		delete(example.Values, s.Name)
	}
	for name := range example.Values {
		if !strings.HasPrefix(name, "AzureFunctionsJobHost__") && !strings.HasPrefix(name, "AzureWebJobs") && !strings.HasPrefix(name, "FUNCTIONS_") {
			t.Errorf("local.settings.json.example sets %s, which nothing reads", name)
		}
	}
}

func env(values map[string]string) func(string) string {
	all := map[string]string{"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com/", "AZURE_OPENAI_DEPLOYMENT": "d",
		"AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT": "https://pool.example", "SESSION_POOL_AUDIENCE": "https://dynamicsessions.io"}
	for name, value := range values {
		all[name] = value
	}
	return func(name string) string { return all[name] }
}

// Four settings are enough where the app has its storage by identity, as in a
// deployment.
func TestFourSettingsAreEnough(t *testing.T) {
	c, err := LoadConfig(env(map[string]string{"AzureWebJobsStorage__accountName": "acct"}), false)
	if err != nil {
		t.Fatal(err)
	}
	if c.BlobEndpoint != "https://acct.blob.core.windows.net" || c.OpenAIEndpoint != "https://x.openai.azure.com" ||
		c.PoolAudience != "https://dynamicsessions.io/.default" || c.LogLevel != slog.LevelInfo || c.TrustPrincipal {
		t.Errorf("config = %+v", c)
	}
}

func TestConfigProblems(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		says string
	}{
		"two stores":       {map[string]string{"AGENT_STORAGE_DIR": "d", "AGENT_STORAGE_BLOB_ENDPOINT": "https://b"}, "are both set"},
		"no store":         {nil, "AGENT_STORAGE_BLOB_ENDPOINT is not set"},
		"http":             {map[string]string{"AGENT_STORAGE_BLOB_ENDPOINT": "http://b.example"}, "must begin with https://"},
		"user in URL":      {map[string]string{"AZURE_OPENAI_ENDPOINT": "https://a:b@x.example"}, "without user, query or fragment"},
		"audience":         {map[string]string{"SESSION_POOL_AUDIENCE": "dynamicsessions"}, "SESSION_POOL_AUDIENCE is not an audience"},
		"too many seconds": {map[string]string{"AGENT_TURN_SECONDS": "230"}, "AGENT_TURN_SECONDS must be a whole number from 5 to 210"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := LoadConfig(env(test.env), false); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error = %v, want it to say %q", err, test.says)
			}
		})
	}
}

func TestLoopbackMayBeHTTP(t *testing.T) {
	for _, endpoint := range []string{"http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"} {
		if _, err := LoadConfig(env(map[string]string{"AGENT_STORAGE_DIR": "d", "AZURE_OPENAI_ENDPOINT": endpoint}), false); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
