package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"keyless/handler/localazure"
	"keyless/handler/localazure/python"
)

const (
	audience     = "https://dynamicsessions.io"
	apiVersion   = "2025-10-02-preview"
	poolPath     = "/subscriptions/local/resourceGroups/local/sessionPools/local"
	identityPath = "/msi/token" // where [localazure.Identity.Env] says it is
)

// emulator is the pool and what it stands on.
type emulator struct {
	options  options
	issuer   *localazure.Issuer
	identity *localazure.Identity
	engine   *python.Engine
	files    string // a directory for those of the sessions
	pool     *localazure.SessionPool
}

// newEmulator starts Python in the background. ctx is for the start alone.
func newEmulator(ctx context.Context, o options, log *slog.Logger) (_ *emulator, err error) {
	e := &emulator{options: o}
	if e.issuer, err = localazure.NewIssuer(); err != nil {
		return nil, err
	}
	e.identity = localazure.NewIdentity(e.issuer)
	e.identity.Lifetime = o.tokenLifetime
	if e.files, err = os.MkdirTemp("", "sessionpool-"); err != nil {
		return nil, fmt.Errorf("make a directory for the sessions' files: %w", err)
	}
	if e.engine, err = python.Open(ctx, python.Config{CacheDir: o.cacheDir, Log: log}); err != nil {
		return nil, errors.Join(fmt.Errorf("start Python: %w", err), os.RemoveAll(e.files))
	}
	e.pool = localazure.NewSessionPool(localazure.SessionPoolConfig{
		Issuer: e.issuer,
		Start: func(ctx context.Context, dir string) (localazure.PythonSession, error) {
			return e.engine.Start(ctx, dir)
		},
		Dir:           e.files,
		MaxSessions:   o.maxSessions,
		FullStatus:    o.full,
		Cooldown:      o.cooldown,
		WithoutIDs:    o.withoutIDs,
		PythonVersion: python.Version,
		Log:           log,
	})
	return e, nil
}

// handler serves everything, to this machine alone.
func (e *emulator) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(identityPath, e.identity)
	mux.HandleFunc("PUT /fault", e.setFault)
	mux.HandleFunc("DELETE /fault", e.clearFault)
	return localazure.OnlyLoopback(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		e.pool.ServeHTTP(w, r) // not through the mux, which would clean its paths
	}))
}

// close ends all sessions, and removes their files. The process is about to
// end: there is nobody to tell of what fails.
func (e *emulator) close() {
	_ = e.pool.Close()
	_ = e.engine.Close()
	_ = os.RemoveAll(e.files)
}

// invite prints where the pool is and what to try.
func (e *emulator) invite(w io.Writer, base string) error {
	token, err := e.issuer.Mint(audience, e.options.tokenLifetime)
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	env := e.identity.Env(base)
	_, err = fmt.Fprintf(w, `Session pool at

  %[1]s

for tokens with the audience %[2]s, such as this one, which is good for %[3]v:

  TOKEN=%[4]s

  curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    '%[1]s/executions?api-version=%[5]s&identifier=try-1' \
    -d '{"codeInputType": "Inline", "executionType": "Synchronous", "code": "print(7 * 9)"}'

DefaultAzureCredential and ManagedIdentityCredential get tokens with

  export IDENTITY_ENDPOINT=%[6]s IDENTITY_HEADER=%[7]s

To see the pool fail: curl -X PUT %[8]s/fault -d '{"status": 503, "retryAfterSeconds": 2, "times": 1}'
Ctrl-C stops, and with it end all sessions and their files.
`, base+poolPath, audience, e.options.tokenLifetime, token, apiVersion, env["IDENTITY_ENDPOINT"], env["IDENTITY_HEADER"], base)
	return err
}
