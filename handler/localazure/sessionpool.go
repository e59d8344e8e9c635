package localazure

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"keyless/handler/localazure/python"
)

// SessionPoolConfig says what a [SessionPool] is like.
type SessionPoolConfig struct {
	Issuer *Issuer // whose tokens are accepted; nil: any
	// Start starts Python for a session, with dir as its files. ctx ends with
	// the session, not with the request that was the first to need Python.
	Start func(ctx context.Context, dir string) (PythonSession, error)
	// Dir holds one directory a session, removed with the session. It exists.
	Dir string
	// MaxSessions is how many sessions there may be at once; 0: 20.
	MaxSessions int
	// Cooldown is how long a session lives after the last call; 0: 300 s, the
	// least that the service allows.
	Cooldown      time.Duration
	PythonVersion string       // for GET /metadata
	Log           *slog.Logger // gets a line at Debug for each execution; nil: nothing does
}

// PythonSession is the Python behind a session. A [python.Session] is one, so
// that all that it takes to have an engine's is
//
//	Start: func(ctx context.Context, dir string) (localazure.PythonSession, error) {
//		return engine.Start(ctx, dir)
//	}
type PythonSession interface {
	// Run runs code. It is not called again before it returned, and stops
	// what is running when ctx ends.
	Run(ctx context.Context, r python.Request) (python.Outcome, error)
	// Close ends Python. It is called once, and not during Run.
	Close() error
}

var _ PythonSession = (*python.Session)(nil)

// SessionPool stands in for one code interpreter pool of Azure Container Apps
// and its REST API, api-version 2025-10-02-preview: synchronous executions,
// and a session's get and delete. Its answers have the shapes, codes, headers
// and oddities that were seen of the real service, down to a bare 401 for an
// api-version that it does not know; where nobody has seen what the service
// does, a comment says so. It is safe for concurrent use.
//
// In one thing it differs on purpose. The service has no call to stop code,
// and presumably runs it to its end when the caller goes away. Here the code
// is interrupted, so that an abandoned turn does not keep a laptop busy for
// minutes.
type SessionPool struct {
	Faults   Faults
	config   SessionPoolConfig
	handler  http.Handler
	created  time.Time
	mu       sync.Mutex
	sessions map[string]*poolSession // by identifier
}

// The pool's audience, and the api-versions that it knows.
const poolAudience = "https://dynamicsessions.io"

var poolVersions = []string{"2025-10-02-preview"}

// poolIdentifiers is the pattern of the API's specification.
var poolIdentifiers = regexp.MustCompile("^[a-zA-Z0-9_|}{\\[\\]:\"';<>?/.,@#$%^&*()\\-+=!~`]{4,128}$")

// NewSessionPool returns a stand-in without sessions. It answers for whatever
// subscription, resource group and pool stand in the path.
func NewSessionPool(config SessionPoolConfig) *SessionPool {
	if config.MaxSessions == 0 {
		config.MaxSessions = 20
	}
	if config.Cooldown == 0 {
		config.Cooldown = 300 * time.Second
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	p := &SessionPool{config: config, created: time.Now().UTC(), sessions: map[string]*poolSession{}}
	const base = "/subscriptions/{subscription}/resourceGroups/{group}/sessionPools/{pool}"
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+base+"/executions", p.identified(p.execute))
	mux.HandleFunc("GET "+base+"/executions/{id}", p.identified(p.getExecution))
	mux.HandleFunc("GET "+base+"/session", p.identified(p.getSession))
	mux.HandleFunc("DELETE "+base+"/session", p.identified(p.deleteSession))
	mux.HandleFunc("GET "+base+"/metadata", p.getMetadata)
	mux.HandleFunc(base+"/", func(w http.ResponseWriter, r *http.Request) {
		poolError{http.StatusBadRequest, "SessionRequestNotSupported", r.Method + " is not supported here.", ""}.write(w)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { poolFault(http.StatusNotFound).write(w) })
	p.handler = p.Faults.wrap(p.admitted(mux), func(status int) string { return poolFault(status).body() })
	return p
}

// ServeHTTP answers as the pool would.
func (p *SessionPool) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// admitted lets a request pass to next if its token and api-version are good.
// The service answers a bare 401 to either that is not.
func (p *SessionPool) admitted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := slices.Contains(poolVersions, r.URL.Query().Get("api-version"))
		if !known || p.config.Issuer != nil && p.config.Issuer.Check(r, poolAudience) != nil {
			poolFault(http.StatusUnauthorized).write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// identified hands next the session identifier of a request.
func (p *SessionPool) identified(next func(w http.ResponseWriter, r *http.Request, identifier string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		identifier := r.URL.Query().Get("identifier")
		if !poolIdentifiers.MatchString(identifier) {
			poolInvalid("identifier", "The identifier must have 4 to 128 characters of those allowed.").write(w)
			return
		}
		next(w, r, identifier)
	}
}

// getSession serves GET /session. What the service says of a session that it
// does not have is not known; this is what its newer management calls say.
func (p *SessionPool) getSession(w http.ResponseWriter, _ *http.Request, identifier string) {
	s, problem := p.enter(identifier, false)
	if problem != nil {
		problem.write(w)
		return
	}
	defer p.leave(s)
	accessed := p.accessed(s)
	writePoolJSON(w, http.StatusOK, map[string]any{"$id": "1", "identifier": identifier, "etag": s.guid,
		"createdAt": s.created, "lastAccessedAt": accessed, "expireAt": accessed.Add(p.config.Cooldown)})
}

// deleteSession serves DELETE /session. It answers once the session's Python
// and files are gone.
func (p *SessionPool) deleteSession(w http.ResponseWriter, _ *http.Request, identifier string) {
	s := p.take(identifier)
	if s == nil {
		poolGone().write(w)
		return
	}
	p.discard(s)
	w.WriteHeader(http.StatusNoContent)
}

// getMetadata serves GET /metadata, which says what the pool's sessions run.
func (p *SessionPool) getMetadata(w http.ResponseWriter, _ *http.Request) {
	writePoolJSON(w, http.StatusOK, map[string]any{"$id": "1", "createdAt": p.created, "lastUpdatedAt": p.created,
		"runtimes": []any{map[string]any{"$id": "2", "name": "Python", "version": p.config.PythonVersion}}, "preInstalledPackages": []any{}})
}
