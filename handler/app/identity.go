package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/agent"
	"keyless/handler/doctor"
	"keyless/handler/fault"
	"keyless/handler/identity"
	"keyless/handler/interpreter"
	"keyless/handler/queue"
)

// Diagnose examines each service that the settings name, also when others are
// missing, and reports within ten seconds. It serves nothing.
func Diagnose(ctx context.Context, o Options) doctor.Report {
	config, problems := LoadConfig(o.Getenv, o.Local)
	credential, err := identity.NewCredential(identity.Config{})
	if err != nil {
		credential = unusable{err}
	}
	clients := connect(config, credential, o.DialBus, slog.New(slog.DiscardHandler))
	defer clients.close()
	return doctor.Run(ctx, clients.examination(config, settingProblems(problems), o.Getenv))
}

// identity serves doctor's report on the running app: it examines the clients
// that all requests use. That something is sick is in the report, not in the
// status: the report itself was asked for, and is there.
func (a *App) identity(c *call) error {
	return c.json(http.StatusOK, doctor.Run(c.ctx(), a.services.examination(a.config, nil, a.getenv)))
}

// unusable is a credential that could not be made.
type unusable struct{ err error }

// GetToken implements [azcore.TokenCredential]. It always fails.
func (u unusable) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, u.err
}

// settingProblems returns what is wrong with each setting, by its name.
func settingProblems(err error) map[string]string {
	found := map[string]string{}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return found
	}
	for _, err := range joined.Unwrap() {
		if s, ok := errors.AsType[*SettingError](err); ok && found[s.Name] == "" {
			found[s.Name] = s.Problem
		}
	}
	return found
}

// examination is what doctor is to look at.
func (c *clients) examination(config Config, problems map[string]string, getenv func(string) string) doctor.Examination {
	p := problemsLeft{problems}
	checks := []doctor.Check{c.checkModel(config, p), c.checkPool(config, p), c.checkRecords(config, p), c.checkQueue(config, p)}
	return doctor.Examination{
		Version:    Version,
		Checks:     checks,
		Settings:   p.rest(),
		Credential: c.tokens,
		Place:      doctor.Place{Getenv: getenv},
	}
}

// problemsLeft are the problems of settings that no check has taken yet.
type problemsLeft struct{ by map[string]string }

// of returns a setting with its problem.
func (p problemsLeft) of(name, value string) doctor.Setting {
	problem := p.by[name]
	delete(p.by, name)
	if problem != "" {
		value = "" // it may be a connection string, and the problem quotes what may be shown
	}
	return doctor.Setting{Name: name, Value: value, Problem: problem}
}

// rest returns what is left, in the settings' order.
func (p problemsLeft) rest() []doctor.Setting {
	var all []doctor.Setting
	for _, s := range Settings {
		if p.by[s.Name] != "" {
			all = append(all, p.of(s.Name, ""))
		}
	}
	return all
}

// probeTokens bounds the answer that the model is asked for: the least that
// the Responses API takes. A model that is cut short there works.
const probeTokens = 16

// checkModel asks the model for an answer of some tokens. The list of models
// would cost nothing, but it has the account's base models, not its
// deployments, and another right opens it.
func (c *clients) checkModel(config Config, p problemsLeft) doctor.Check {
	check := doctor.Check{
		Target: doctor.Target{Kind: doctor.Model, Endpoint: config.OpenAIEndpoint, Part: config.OpenAIDeployment},
		Settings: []doctor.Setting{p.of("AZURE_OPENAI_ENDPOINT", config.OpenAIEndpoint),
			p.of("AZURE_OPENAI_DEPLOYMENT", config.OpenAIDeployment), p.of("AZURE_OPENAI_AUDIENCE", config.OpenAIAudience)},
		Scope: config.OpenAIAudience,
		Err:   c.modelErr,
	}
	check.Call = func(ctx context.Context) error {
		_, err := c.model.Next(ctx, agent.Request{Items: []agent.Item{{User: "Say OK."}}, MaxOutputTokens: probeTokens}, nil)
		return err
	}
	return check
}

// checkPool asks the pool what it offers; no session is allocated.
func (c *clients) checkPool(config Config, p problemsLeft) doctor.Check {
	return doctor.Check{
		Target: doctor.Target{Kind: doctor.Pool, Endpoint: config.PoolEndpoint},
		Settings: []doctor.Setting{p.of("AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT", config.PoolEndpoint),
			p.of("SESSION_POOL_AUDIENCE", config.PoolAudience)},
		Scope: config.PoolAudience,
		Err:   c.poolErr,
		Call:  func(ctx context.Context) error { return interpreter.Check(ctx, c.pool) },
	}
}

// storageScope is what a token for Blob Storage is asked for with.
const storageScope = "https://storage.azure.com/.default"

// checkRecords reads a record that is not there.
func (c *clients) checkRecords(config Config, p problemsLeft) doctor.Check {
	check := doctor.Check{
		Target: doctor.Target{Kind: doctor.Storage, Endpoint: config.BlobEndpoint, Part: config.BlobContainer},
		Settings: []doctor.Setting{p.of("AGENT_STORAGE_BLOB_ENDPOINT", config.BlobEndpoint),
			p.of("AGENT_STORAGE_CONTAINER", config.BlobContainer)},
		Scope: storageScope,
		Err:   c.recordsErr,
		Call: func(ctx context.Context) error {
			_, err := c.records.Get(ctx, "doctor/none")
			if fault.Is(err, fault.NotFound) {
				return nil
			}
			return err
		},
	}
	if config.Dir != "" && check.Settings[0].Problem == "" {
		check.Settings, check.Scope = []doctor.Setting{p.of("AGENT_STORAGE_DIR", config.Dir)}, ""
	}
	return check
}

// checkQueue gets the right to send, and sends nothing.
func (c *clients) checkQueue(config Config, p problemsLeft) doctor.Check {
	const namespace = "ServiceBusConnection__fullyQualifiedNamespace"
	check := doctor.Check{
		Target:   doctor.Target{Kind: doctor.Queue, Endpoint: config.BusNamespace, Part: config.JobsQueue, Elsewhere: c.dialed || config.BusEmulator != ""},
		Settings: []doctor.Setting{p.of(namespace, config.BusNamespace), p.of("JOBS_QUEUE", config.JobsQueue)},
		Scope:    queue.Scope,
		Err:      c.queueErr,
	}
	if connection := p.of("ServiceBusConnection", ""); connection.Problem != "" {
		check.Settings = append(check.Settings, connection)
	}
	if config.BusEmulator != "" {
		check.Scope = ""
	}
	if c.queue != nil {
		check.Call = c.queue.Check
	}
	return check
}
