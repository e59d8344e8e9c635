package localazure

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
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
	// FullStatus answers a call that needs one session more than that. 0: 404,
	// which the documentation says; the other choice is 429, which some have
	// reported.
	FullStatus int
	// Cooldown is how long a session lives after the last call; 0: 300 s, the
	// least that the service allows.
	Cooldown time.Duration
	// MaxUploadBytes is how large an uploaded file may be; 0: 128 MiB, the
	// service's.
	MaxUploadBytes int64
	// WithoutIDs leaves out the "$id" keys, with which the service numbers the
	// objects of most answers.
	WithoutIDs    bool
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

// SessionPool stands in for one Python code interpreter pool of Azure Container
// Apps and its REST API, in all api-versions from 2024-02-02-preview to
// 2025-10-02-preview: executions, files, sessions and metadata. Its answers
// have the shapes, codes, headers and oddities that were seen of the real
// service, down to a bare 401 for an api-version that it does not know; where
// nobody has seen what the service does, a comment says so. It is safe for
// concurrent use.
//
// In one thing it differs on purpose. The service has no call to stop code,
// and presumably runs it to its end when the caller goes away. Here the code
// of a synchronous execution is interrupted, so that an abandoned turn does
// not keep a laptop busy for minutes.
//
// The flow of a request: a fault, if one is set; the token and the api-version
// (below); the operations of that version (sessionpool_version.go); the
// session that it names (sessionpool_session.go); the operation itself
// (sessionpool_run.go, sessionpool_files.go, sessionpool_manage.go).
type SessionPool struct {
	Faults     Faults
	config     SessionPoolConfig
	handler    http.Handler
	created    time.Time
	background sync.WaitGroup // asynchronous executions
	mu         sync.Mutex
	sessions   map[string]*poolSession // by identifier
}

// poolAudience is the one that the specification names. Whether the service
// still takes the one of its preview days, https://acasessions.io, is not
// known; here it is refused.
const poolAudience = "https://dynamicsessions.io"

// NewSessionPool returns a stand-in without sessions. It answers for whatever
// subscription, resource group and pool stand in the path.
func NewSessionPool(config SessionPoolConfig) *SessionPool {
	config.MaxSessions = cmp.Or(config.MaxSessions, 20)
	config.FullStatus = cmp.Or(config.FullStatus, http.StatusNotFound)
	config.Cooldown = cmp.Or(config.Cooldown, 300*time.Second)
	config.MaxUploadBytes = cmp.Or(config.MaxUploadBytes, 128<<20)
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	p := &SessionPool{config: config, created: time.Now().UTC(), sessions: map[string]*poolSession{}}
	p.handler = p.Faults.wrap(p.admitted(), func(status int) string { return poolFault(status).body() })
	return p
}

// ServeHTTP answers as the pool would.
func (p *SessionPool) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// admitted lets a request pass to the operations of its api-version if that
// and its token are good. The service answers a bare 401 to either that is not.
func (p *SessionPool) admitted() http.Handler {
	byVersion := map[string]http.Handler{}
	for _, v := range poolVersions {
		byVersion[v.name] = p.operations(v)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operations, known := byVersion[r.URL.Query().Get("api-version")]
		if !known || p.config.Issuer != nil && p.config.Issuer.Check(r, poolAudience) != nil {
			poolFault(http.StatusUnauthorized).write(w)
			return
		}
		operations.ServeHTTP(w, r)
	})
}
