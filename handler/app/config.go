package app

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"keyless/handler/agent"
)

// Config is all that the environment says. [LoadConfig] is the only reader.
type Config struct {
	OpenAIEndpoint   string
	OpenAIDeployment string
	OpenAIAudience   string
	PoolEndpoint     string
	PoolAudience     string
	// Where conversations are kept: exactly one of BlobEndpoint and Dir is set.
	BlobEndpoint  string
	BlobContainer string
	Dir           string

	// Where jobs are queued. Without either there are no jobs.
	BusNamespace string
	BusEmulator  string // a connection string to loopback, in a local run alone
	JobsQueue    string
	JobTurnTime  time.Duration // for a turn in the background

	Instructions  string // more instructions for the model; may be empty
	Limits        agent.Limits
	HistoryTokens int
	// TrustPrincipal tells that App Service Authentication stands in front,
	// so that its headers say who the caller is. Without it anybody could
	// send them.
	TrustPrincipal bool
	LogLevel       slog.Level
}

// Setting is a setting that the program reads, for docs and the tests that
// compare them.
type Setting struct {
	Name     string
	Default  string // empty: none
	Required bool
	Means    string
}

// Settings lists the settings that a person may set. The host sets others
// (WEBSITE_SITE_NAME, IDENTITY_ENDPOINT, …), which LoadConfig also reads.
var Settings = [...]Setting{
	{"AZURE_OPENAI_ENDPOINT", "", true, "the Azure OpenAI account, https://<name>.openai.azure.com"},
	{"AZURE_OPENAI_DEPLOYMENT", "", true, "the deployment of the model in it"},
	{"AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT", "", true, "the session pool's management endpoint, taken whole"},
	{"SESSION_POOL_AUDIENCE", "https://dynamicsessions.io/.default", false, "the audience of tokens for the session pool"},
	{"AZURE_OPENAI_AUDIENCE", "https://cognitiveservices.azure.com/.default", false, "the audience of tokens for Azure OpenAI"},
	{"AGENT_STORAGE_BLOB_ENDPOINT", "the app's own storage account", false, "the Blob Storage endpoint where conversations are kept"},
	{"AGENT_STORAGE_CONTAINER", "agent-state", false, "the blob container for them"},
	{"AGENT_STORAGE_DIR", "", false, "a directory to keep them in instead, on one machine"},
	{"ServiceBusConnection__fullyQualifiedNamespace", "", false, "the Service Bus namespace for jobs, <name>.servicebus.windows.net; without it there are none"},
	{"JOBS_QUEUE", "jobs", false, "the queue in it, with sessions enabled"},
	{"AGENT_INSTRUCTIONS", "", false, "more instructions for the model, added to ours"},
	{"AGENT_MAX_STEPS", "16", false, "calls of the model in one turn, 1 to 100"},
	{"AGENT_MAX_TURN_TOKENS", "400000", false, "tokens in one turn, in and out, 1000 to 10000000"},
	{"AGENT_TURN_SECONDS", "200", false, "seconds that one turn may take, 5 to 210"},
	{"AGENT_JOB_SECONDS", "600", false, "seconds that a turn in the background may take, 5 to 1200"},
	{"AGENT_HISTORY_TOKENS", "100000", false, "tokens of earlier turns that the model is shown, 0 to 1000000"},
	{"AGENT_LOG_LEVEL", "info", false, "debug, info, warn or error"},
}

// LoadConfig reads the configuration. The error joins every problem, each
// naming its setting. local tells that this is a local run, which may queue
// jobs on an emulator.
func LoadConfig(getenv func(string) string, local bool) (Config, error) {
	e := &environment{getenv: getenv}
	c := Config{
		OpenAIEndpoint:   e.endpoint("AZURE_OPENAI_ENDPOINT", e.required("AZURE_OPENAI_ENDPOINT")),
		OpenAIDeployment: e.required("AZURE_OPENAI_DEPLOYMENT"),
		OpenAIAudience:   e.audience("AZURE_OPENAI_AUDIENCE"),
		PoolEndpoint:     e.endpoint("AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT", e.required("AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT")),
		PoolAudience:     e.audience("SESSION_POOL_AUDIENCE"),
		BlobContainer:    e.text("AGENT_STORAGE_CONTAINER"),
		JobsQueue:        e.text("JOBS_QUEUE"),
		Instructions:     e.text("AGENT_INSTRUCTIONS"),
		Limits:           agent.DefaultLimits(),
		HistoryTokens:    e.number("AGENT_HISTORY_TOKENS", 0, 1_000_000),
		TrustPrincipal:   strings.EqualFold(getenv("WEBSITE_AUTH_ENABLED"), "true"),
		LogLevel:         e.level("AGENT_LOG_LEVEL"),
	}
	c.Limits.Steps = e.number("AGENT_MAX_STEPS", 1, 100)
	c.Limits.Tokens = e.number("AGENT_MAX_TURN_TOKENS", 1_000, 10_000_000)
	c.Limits.Time = time.Duration(e.number("AGENT_TURN_SECONDS", 5, 210)) * time.Second
	c.BlobEndpoint, c.Dir = e.storage()
	c.JobTurnTime = time.Duration(e.number("AGENT_JOB_SECONDS", 5, 1200)) * time.Second
	c.BusNamespace, c.BusEmulator = e.bus(local)
	return c, errors.Join(e.problems...)
}

// SettingError is what is wrong with one setting.
type SettingError struct{ Name, Problem string }

func (e *SettingError) Error() string { return e.Name + " " + e.Problem }

// environment reads settings and gathers what is wrong with them.
type environment struct {
	getenv   func(string) string
	problems []error
}

func (e *environment) problem(name, format string, args ...any) {
	e.problems = append(e.problems, &SettingError{name, fmt.Sprintf(format, args...)})
}

// text returns a setting or its default.
func (e *environment) text(name string) string {
	return cmp.Or(strings.TrimSpace(e.getenv(name)), setting(name).Default)
}

func (e *environment) required(name string) string {
	value := e.text(name)
	if value == "" {
		e.problem(name, "is not set: it is %s", setting(name).Means)
	}
	return value
}

// endpoint checks that value is a URL to which a token may be sent.
func (e *environment) endpoint(name, value string) string {
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "":
		e.problem(name, "is not a URL: %q", value)
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		e.problem(name, "must begin with https:// (http:// is for loopback alone): %q", value)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		e.problem(name, "must be a plain address, without user, query or fragment")
	}
	return strings.TrimRight(value, "/")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// audience returns the scope for an audience, written with or without
// the /.default that azidentity asks for.
func (e *environment) audience(name string) string {
	value := e.text(name)
	if u, err := url.Parse(value); err != nil || u.Scheme == "" {
		e.problem(name, "is not an audience such as %s: %q", setting(name).Default, value)
	}
	return strings.TrimSuffix(strings.TrimSuffix(value, "/.default"), "/") + "/.default"
}

func (e *environment) number(name string, least, most int) int {
	value := e.text(name)
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		e.problem(name, "must be a whole number from %d to %d: %q", least, most, value)
	}
	return n
}

func (e *environment) level(name string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(e.text(name))); err != nil {
		e.problem(name, "must be debug, info, warn or error: %q", e.text(name))
	}
	return level
}

// storage returns the blob endpoint or the directory. By default it is the
// account that the Functions app itself has by its identity, so that a
// deployment needs no setting for it.
func (e *environment) storage() (blob, dir string) {
	const name = "AGENT_STORAGE_BLOB_ENDPOINT"
	dir = e.text("AGENT_STORAGE_DIR")
	blob = strings.TrimSpace(e.getenv(name))
	switch account := e.getenv("AzureWebJobsStorage__accountName"); {
	case dir != "" && blob != "":
		e.problem(name, "and AGENT_STORAGE_DIR are both set: keep one")
	case dir != "" || blob != "":
	case e.getenv("AzureWebJobsStorage__blobServiceUri") != "":
		blob = e.getenv("AzureWebJobsStorage__blobServiceUri")
	case account != "":
		blob = "https://" + account + ".blob.core.windows.net"
	default:
		e.problem(name, "is not set, and the app has no storage account by identity (AzureWebJobsStorage__accountName) to use instead: set it, or AGENT_STORAGE_DIR to keep conversations in a directory of this machine")
	}
	return e.endpoint(name, blob), dir
}

// bus returns the Service Bus namespace or, in a local run, the connection
// string of an emulator on this machine. Any other connection string holds a
// key, and is refused.
func (e *environment) bus(local bool) (namespace, emulator string) {
	const name = "ServiceBusConnection__fullyQualifiedNamespace"
	namespace, emulator = e.text(name), strings.TrimSpace(e.getenv("ServiceBusConnection"))
	if emulator != "" && !local {
		e.problem("ServiceBusConnection", "is a connection string, which holds a key: set %s instead", name)
	}
	if strings.ContainsAny(namespace, "/:;= ") {
		e.problem(name, "must be a name such as my-bus.servicebus.windows.net: %q", namespace)
	}
	return namespace, emulator
}

func setting(name string) Setting {
	for _, s := range Settings {
		if s.Name == name {
			return s
		}
	}
	panic("no such setting: " + name)
}
