package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"keyless/handler/app"
	"keyless/handler/identity"
	"keyless/handler/localazure"
	"keyless/handler/localazure/demo"
	"keyless/handler/localazure/python"
)

// standIns are the services of a local run, and the settings that point the
// app at them.
type standIns struct {
	getenv  func(string) string
	set     map[string]string // settings that differ from the environment
	report  io.Writer
	issuer  *localazure.Issuer
	tokens  *localazure.Identity
	closers []func() error // in the order of starting

	dialBus app.Dial // nil: Service Bus is real
}

// start brings up a stand-in for each service that no setting names, and says
// of each service whether it is real.
func start(ctx context.Context, getenv func(string) string, report io.Writer) (_ *standIns, err error) {
	issuer, err := localazure.NewIssuer()
	if err != nil {
		return nil, err
	}
	s := &standIns{set: map[string]string{}, report: report, issuer: issuer, tokens: localazure.NewIdentity(issuer)}
	s.getenv = func(name string) string {
		if value, ok := s.set[name]; ok {
			return value
		}
		return getenv(name)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, step := range []func(context.Context) error{s.model, s.pool, s.storage, s.bus, s.identity} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// close stops everything, last started first.
func (s *standIns) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		_ = s.closers[i]() // the process is about to end
	}
}

func (s *standIns) say(service, format string, args ...any) {
	fmt.Fprintf(s.report, "%-13s %s\n", service, fmt.Sprintf(format, args...))
}

// model stands in for Azure OpenAI.
func (s *standIns) model(context.Context) error {
	if endpoint := s.getenv("AZURE_OPENAI_ENDPOINT"); endpoint != "" {
		s.say("model", "real: %s", endpoint)
		return nil
	}
	const deployment = "demo"
	service := localazure.NewOpenAI(localazure.OpenAIConfig{
		Deployments: []string{deployment}, Planner: demo.Planner{}, Issuer: s.issuer, Reasoning: true})
	base, err := s.serve(service)
	if err != nil {
		return err
	}
	s.set["AZURE_OPENAI_ENDPOINT"], s.set["AZURE_OPENAI_DEPLOYMENT"] = base, deployment
	s.say("model", "stood in by a demo model, which plans by rules; for a real one: az login, set AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENT")
	return nil
}

// pool stands in for the session pool.
func (s *standIns) pool(ctx context.Context) error {
	const name = "AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT"
	if endpoint := s.getenv(name); endpoint != "" {
		s.say("session pool", "real: %s", endpoint)
		return nil
	}
	cache, err := cacheDir("python")
	if err != nil {
		return err
	}
	engine, err := python.Open(ctx, python.Config{CacheDir: cache, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("start Python: %w", err)
	}
	s.closers = append(s.closers, engine.Close)
	files, err := sessionsDir(os.TempDir())
	if err != nil {
		return fmt.Errorf("make a directory for the sessions' files: %w", err)
	}
	s.closers = append(s.closers, func() error { return os.RemoveAll(files) })
	service := localazure.NewSessionPool(localazure.SessionPoolConfig{Issuer: s.issuer, Dir: files, PythonVersion: python.Version,
		Start: func(ctx context.Context, dir string) (localazure.PythonSession, error) { return engine.Start(ctx, dir) }})
	s.closers = append(s.closers, service.Close)
	base, err := s.serve(service)
	if err != nil {
		return err
	}
	s.set[name] = base + "/subscriptions/local/resourceGroups/local/sessionPools/local"
	s.say("session pool", "stood in by CPython in WebAssembly: no network, no files but its own; for a real one: set %s", name)
	return nil
}

// storage puts conversations in a directory unless a setting says where.
func (s *standIns) storage(context.Context) error {
	for _, name := range []string{"AGENT_STORAGE_BLOB_ENDPOINT", "AGENT_STORAGE_DIR"} {
		if place := s.getenv(name); place != "" {
			s.say("conversations", "kept in %s", place)
			return nil
		}
	}
	dir, err := cacheDir("conversations")
	if err != nil {
		return err
	}
	s.set["AGENT_STORAGE_DIR"] = dir
	s.say("conversations", "kept in %s; for Blob Storage: set AGENT_STORAGE_BLOB_ENDPOINT", dir)
	return nil
}

// identity stands in for the identity endpoint of App Service. It makes the
// tokens for the stand-ins; for services that are real it hands on those of
// the developer who is signed in, so that the app takes one path in all cases.
func (s *standIns) identity(context.Context) error {
	developer, err := developerCredential(s.getenv)
	if err != nil {
		return err
	}
	s.tokens.Real = s.realAudiences(developer)
	base, err := s.serve(s.tokens)
	if err != nil {
		return err
	}
	for name, value := range s.tokens.Env(base) {
		// azidentity reads these from the process itself.
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	s.say("identity", "stood in: tokens for what is stood in are made here, those for real services are of whoever did az login")
	return nil
}

// developerCredential returns the credential of whoever is signed in here. It
// looks at developers' sign-ins alone unless a setting says otherwise: other
// clouds' machines have a metadata service at the address of Azure's, and
// their answer would end the search.
func developerCredential(getenv func(string) string) (azcore.TokenCredential, error) {
	const selection = "AZURE_TOKEN_CREDENTIALS"
	if getenv(selection) == "" {
		if err := os.Setenv(selection, "dev"); err != nil {
			return nil, fmt.Errorf("set %s: %w", selection, err)
		}
	}
	return identity.NewCredential(identity.Config{})
}

// realAudiences returns whose tokens the app needs for services that are real.
func (s *standIns) realAudiences(developer azcore.TokenCredential) map[string]azcore.TokenCredential {
	audience := func(name, byDefault string) string {
		if value := s.getenv(name); value != "" {
			return strings.TrimSuffix(value, "/.default")
		}
		return byDefault
	}
	audiences := map[string]string{
		"AZURE_OPENAI_ENDPOINT":                      audience("AZURE_OPENAI_AUDIENCE", "https://cognitiveservices.azure.com"),
		"AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT": audience("SESSION_POOL_AUDIENCE", "https://dynamicsessions.io"),
		"AGENT_STORAGE_BLOB_ENDPOINT":                "https://storage.azure.com",
		busNamespace:                                 busAudience,
	}
	real := map[string]azcore.TokenCredential{}
	for name, audience := range audiences {
		if _, stoodIn := s.set[name]; !stoodIn && s.getenv(name) != "" {
			real[audience] = developer
		}
	}
	return real
}

// serve serves h on a free port of loopback and returns its address.
func (s *standIns) serve(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen on loopback: %w", err)
	}
	server := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(l) }()
	s.closers = append(s.closers, func() error { return errors.Join(server.Close(), ignoreClosed(<-stopped)) })
	return "http://" + l.Addr().String(), nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
