package app

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyless/handler/doctor"
	"keyless/handler/localazure"
	"keyless/handler/localazure/bus"
	"keyless/handler/localazure/demo"
)

// cloud is the stand-ins for all that the app talks to, and the settings that
// point at them.
type cloud struct {
	issuer   *localazure.Issuer
	identity *localazure.Identity
	model    *localazure.OpenAI
	pool     *localazure.SessionPool
	storage  atomic.Int64 // the status that Blob Storage answers with; 0: its own
	bus      *bus.Broker
	servers  []*httptest.Server // model, pool, storage, identity
	env      map[string]string
	dial     Dial
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{issuer: issuer, identity: localazure.NewIdentity(issuer)}
	c.model = localazure.NewOpenAI(localazure.OpenAIConfig{Deployments: []string{"d"}, Planner: demo.Planner{}, Issuer: issuer, Reasoning: true})
	c.pool = localazure.NewSessionPool(localazure.SessionPoolConfig{Issuer: issuer, Dir: t.TempDir()})
	t.Cleanup(func() { _ = c.pool.Close() })
	c.bus = bus.New(bus.Config{CheckToken: func(token string) error { return issuer.CheckToken(token, "https://servicebus.azure.net") }})
	c.bus.AddQueue(bus.Queue{Name: "jobs", RequiresSession: true})
	t.Cleanup(func() { _ = c.bus.Close() })
	c.dial = func(context.Context) (net.Conn, error) { return c.bus.Pipe(), nil }
	c.env = map[string]string{
		"AZURE_OPENAI_ENDPOINT":                         c.serve(t, c.model, httptest.NewServer),
		"AZURE_OPENAI_DEPLOYMENT":                       "d",
		"AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT":    c.serve(t, c.pool, httptest.NewServer) + "/subscriptions/s1/resourceGroups/g1/sessionPools/p1",
		"AGENT_STORAGE_BLOB_ENDPOINT":                   c.serve(t, http.HandlerFunc(c.blob), trusted(t)),
		"ServiceBusConnection__fullyQualifiedNamespace": "bus-x1.servicebus.windows.net",
		"WEBSITE_SITE_NAME":                             "func-x1",
	}
	maps.Copy(c.env, c.identity.Env(c.serve(t, c.identity, httptest.NewServer)))
	return c
}

func (c *cloud) serve(t *testing.T, h http.Handler, start func(http.Handler) *httptest.Server) string {
	t.Helper()
	s := start(h)
	t.Cleanup(s.Close)
	c.servers = append(c.servers, s)
	return s.URL
}

// trusted starts TLS servers whose certificate, which is the same for all, the
// process trusts.
func trusted(t *testing.T) func(http.Handler) *httptest.Server {
	t.Helper()
	return func(h http.Handler) *httptest.Server {
		s := httptest.NewTLSServer(h)
		file := filepath.Join(t.TempDir(), "cert.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		if err := os.WriteFile(file, block, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("SSL_CERT_FILE", file) // read once, by the first handshake
		return s
	}
}

// blob answers as Blob Storage does to the read of a blob that is not there.
func (c *cloud) blob(w http.ResponseWriter, r *http.Request) {
	status, code := int(c.storage.Load()), "BlobNotFound"
	switch {
	case status == 0 && c.issuer.Check(r, "https://storage.azure.com") != nil:
		status, code = http.StatusUnauthorized, "InvalidAuthenticationInfo"
	case status == 0:
		status = http.StatusNotFound
	case status == http.StatusForbidden:
		code = "AuthorizationPermissionMismatch"
	case status == http.StatusNotFound:
		code = "ContainerNotFound"
	default:
		code = "InvalidAuthenticationInfo"
	}
	w.Header().Set("x-ms-error-code", code)
	w.WriteHeader(status)
}

// diagnose runs doctor as `handler doctor` does.
func (c *cloud) diagnose(t *testing.T) doctor.Report {
	t.Helper()
	for name, value := range c.env {
		t.Setenv(name, value) // azidentity reads the process's environment
	}
	start := time.Now()
	r := Diagnose(t.Context(), Options{Getenv: func(name string) string { return os.Getenv(name) }, DialBus: c.dial})
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	holdsNoToken(t, r)
	return r
}

func holdsNoToken(t *testing.T, r doctor.Report) {
	t.Helper()
	var b bytes.Buffer
	if err := errors.Join(r.Write(&b, true), r.WriteJSON(&b)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "eyJ") {
		t.Errorf("a token is in the report:\n%s", &b)
	}
}

// sick returns the one service that does not work.
func sick(t *testing.T, r doctor.Report) doctor.Service {
	t.Helper()
	var found []doctor.Service
	for _, s := range r.Services {
		if s.Status == doctor.Sick {
			found = append(found, s)
		}
	}
	if len(found) != 1 || r.Healthy {
		var b bytes.Buffer
		_ = r.Write(&b, false)
		t.Fatalf("%d services are sick, want one:\n%s", len(found), &b)
	}
	return found[0]
}

func TestDoctorFindsAllWell(t *testing.T) {
	c := newCloud(t)
	r := c.diagnose(t)
	if !r.Healthy || len(r.Services) != 4 {
		var b bytes.Buffer
		_ = r.Write(&b, false)
		t.Fatalf("not healthy:\n%s", &b)
	}
	for _, s := range r.Services {
		if s.Status != doctor.Healthy || s.Token == nil || s.Token.ObjectID == "" || s.Token.Credential != "ManagedIdentityCredential" || s.CallMS == 0 {
			t.Errorf("%+v", s)
		}
	}
	if c.bus.Counts("jobs").Accepted != 0 {
		t.Error("a message was sent")
	}
}

// Each service, each refusal, over the wire.
func TestDoctorNamesEachFailure(t *testing.T) {
	const assign = "az role assignment create --assignee-object-id 00000000-0000-4000-8000-000000000002 --assignee-principal-type ServicePrincipal --role "
	for name, test := range map[string]struct {
		harm    func(*cloud)
		service string
		problem doctor.Problem
		command string // a part of one
	}{
		"model 401":     {func(c *cloud) { c.model.Faults.Set(localazure.Fault{Status: 401}) }, "Azure OpenAI", doctor.TokenRefused, assign + `"Cognitive Services OpenAI User"`},
		"model 403":     {func(c *cloud) { c.model.Faults.Set(localazure.Fault{Status: 403}) }, "Azure OpenAI", doctor.MissingRole, assign + `"Cognitive Services OpenAI User"`},
		"no deployment": {func(c *cloud) { c.env["AZURE_OPENAI_DEPLOYMENT"] = "other" }, "Azure OpenAI", doctor.NotFound, "--deployment-name other"},
		"model audience": {func(c *cloud) { c.env["AZURE_OPENAI_AUDIENCE"] = "https://management.azure.com" }, "Azure OpenAI", doctor.WrongAudience,
			"AZURE_OPENAI_AUDIENCE=https://cognitiveservices.azure.com/.default"},

		"pool 401": {func(c *cloud) { c.pool.Faults.Set(localazure.Fault{Status: 401}) }, "Session pool", doctor.TokenRefused,
			assign + `"Azure ContainerApps Session Executor" --scope "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.App/sessionPools/p1"`},
		"pool 403":      {func(c *cloud) { c.pool.Faults.Set(localazure.Fault{Status: 403}) }, "Session pool", doctor.MissingRole, assign + `"Azure ContainerApps Session Executor"`},
		"pool 404":      {func(c *cloud) { c.pool.Faults.Set(localazure.Fault{Status: 404}) }, "Session pool", doctor.NotFound, "sessionpool show --name p1 --resource-group g1"},
		"pool audience": {func(c *cloud) { c.env["SESSION_POOL_AUDIENCE"] = "https://acasessions.io" }, "Session pool", doctor.WrongAudience, "SESSION_POOL_AUDIENCE=https://dynamicsessions.io/.default"},

		"storage 401":  {func(c *cloud) { c.storage.Store(401) }, "Storage", doctor.TokenRefused, assign + `"Storage Blob Data Contributor"`},
		"storage 403":  {func(c *cloud) { c.storage.Store(403) }, "Storage", doctor.MissingRole, "/blobServices/default/containers/agent-state"},
		"no container": {func(c *cloud) { c.storage.Store(404) }, "Storage", doctor.NotFound, "az storage container create"},

		"queue 401": {func(c *cloud) { c.bus.OnToken(func(string) bus.TokenFault { return bus.TokenFault{Status: 401} }) }, "Service Bus", doctor.MissingRole,
			assign + `"Azure Service Bus Data Sender"`},
		"no queue": {func(c *cloud) { c.env["JOBS_QUEUE"] = "other" }, "Service Bus", doctor.NotFound, "az servicebus queue create --namespace-name bus-x1"},
		"bus without a name": {func(c *cloud) {
			c.dial = func(context.Context) (net.Conn, error) { return nil, &net.DNSError{IsNotFound: true} }
		}, "Service Bus", doctor.WrongEndpoint, "az servicebus namespace list"},
		"setting missing": {func(c *cloud) { c.env["AZURE_OPENAI_ENDPOINT"] = "" }, "Azure OpenAI", doctor.WrongSetting, "az cognitiveservices account list"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			test.harm(c)
			s := sick(t, c.diagnose(t))
			if s.Name != test.service || s.Finding.Problem != test.problem {
				t.Fatalf("%s: %+v", s.Name, s.Finding)
			}
			if !strings.Contains(strings.Join(s.Finding.Commands, "\n"), test.command) {
				t.Errorf("commands %q, want %s", s.Finding.Commands, test.command)
			}
		})
	}
}

func TestDoctorTellsNoIdentityFromADeadEndpoint(t *testing.T) {
	for name, test := range map[string]struct {
		harm    func(*cloud)
		problem doctor.Problem
	}{
		"none assigned": {func(c *cloud) { c.identity.Faults.Set(localazure.Fault{Status: 400}) }, doctor.NoIdentity},
		"no endpoint":   {func(c *cloud) { c.env["IDENTITY_ENDPOINT"] = "" }, doctor.NoIdentity},
		"refuses":       {func(c *cloud) { c.identity.Faults.Set(localazure.Fault{Status: 403}) }, doctor.NoToken},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			test.harm(c)
			for _, s := range c.diagnose(t).Services {
				if s.Finding == nil || s.Finding.Problem != test.problem || !strings.Contains(s.Finding.Commands[0], "az functionapp identity assign --name func-x1") {
					t.Errorf("%s: %+v", s.Name, s.Finding)
				}
			}
		})
	}
}

// However many are dead, the report is there in time (see diagnose).
func TestDoctorIsQuickWithEveryServiceDead(t *testing.T) {
	c := newCloud(t)
	for _, server := range c.servers[:3] { // the identity endpoint lives
		server.Close()
	}
	c.dial = func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }
	for _, s := range c.diagnose(t).Services {
		if s.Status != doctor.Sick || s.Token == nil || s.Finding.Problem != doctor.Unreachable || len(s.Finding.Commands) == 0 {
			t.Errorf("%s: %+v", s.Name, s.Finding)
		}
	}
}

func TestDoctorIsQuickWithADeadIdentityEndpoint(t *testing.T) {
	c := newCloud(t)
	c.servers[3].Close()
	for _, s := range c.diagnose(t).Services {
		if s.Status != doctor.Sick || s.Token != nil || s.Finding.Problem != doctor.NoToken {
			t.Errorf("%s: %+v", s.Name, s.Finding)
		}
	}
}

func TestAWrongSettingOfNoServiceIsReported(t *testing.T) {
	c := newCloud(t)
	c.env["AGENT_LOG_LEVEL"] = "loud"
	r := c.diagnose(t)
	if r.Healthy || len(r.Settings) != 1 || r.Settings[0].Name != "AGENT_LOG_LEVEL" || r.Services[0].Status != doctor.Healthy {
		t.Errorf("%+v", r)
	}
}

func TestAConnectionStringIsNotShown(t *testing.T) {
	c := newCloud(t)
	c.env["ServiceBusConnection"] = "Endpoint=sb://x;SharedAccessKey=secret"
	r := c.diagnose(t)
	var b bytes.Buffer
	_ = r.Write(&b, false)
	if s := sick(t, r); s.Name != "Service Bus" || strings.Contains(b.String(), "secret") {
		t.Errorf("%s", &b)
	}
}

func TestIdentityIsServed(t *testing.T) {
	c := newCloud(t)
	c.pool.Faults.Set(localazure.Fault{Status: 403})
	for name, value := range c.env {
		t.Setenv(name, value)
	}
	config, err := LoadConfig(os.Getenv, false)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(config, Options{Getenv: os.Getenv, DialBus: c.dial}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.services.close()
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/api/identity", nil))
	if strings.Contains(w.Body.String(), "eyJ") {
		t.Error("a token is in the answer")
	}
	var r doctor.Report
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != 200 {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if s := sick(t, r); s.Name != "Session pool" || s.Finding.Problem != doctor.MissingRole {
		t.Errorf("%+v", s)
	}
}
