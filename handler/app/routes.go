package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"keyless/handler/fault"
	"keyless/handler/host"
)

// route is one HTTP function: functions/<function>/function.json tells the
// host the same, and a test compares the two.
type route struct {
	function string
	path     string // a final {id?} stands for nothing too, as in the host's routes
	auth     string // "function": the host asks for a key; "anonymous"
	methods  map[string]handler
}

// handler serves a request or says why not. Until it has written something an
// error becomes a problem response.
type handler func(c *call) error

func (a *App) routes() []route {
	return []route{
		{"chat", "/api/chat", "function", map[string]handler{"POST": a.chat}},
		{"conversations", "/api/conversations/{id}", "function", map[string]handler{
			"GET": a.getConversation, "DELETE": a.deleteConversation}},
		{"jobs", "/api/jobs/{id?}", "function", map[string]handler{
			"GET": a.getJobs, "POST": a.submitJob, "DELETE": a.cancelJob}},
		{"identity", "/api/identity", "function", map[string]handler{"GET": a.identity}},
		{"health", "/api/health", "anonymous", map[string]handler{"GET": a.health}},
	}
}

// Handler returns the HTTP side of the app.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range a.routes() {
		h := a.serve(r.function, requestTime, r.dispatch)
		if parent, ok := strings.CutSuffix(r.path, "/{id?}"); ok {
			mux.Handle(parent, h)
			mux.Handle(parent+"/{id}", h)
			continue
		}
		mux.Handle(r.path, h)
	}
	// The host hands a queue's message to the path of the function's name.
	// Callers cannot reach it: all they send comes below /api/.
	mux.Handle("POST /run-job", a.serve("run-job", jobTime, a.runJob))
	mux.Handle("/", a.serve("none", requestTime, func(*call) error {
		return fault.New(fault.NotFound, "route_not_found", "There is nothing at this address. The README lists the routes; all begin with /api/.")
	}))
	return mux
}

// dispatch picks the handler for the method.
func (r route) dispatch(c *call) error {
	h, ok := r.methods[c.r.Method]
	if ok {
		return h(c)
	}
	allowed := make([]string, 0, len(r.methods))
	for method := range r.methods {
		allowed = append(allowed, method)
	}
	return notAllowed(c, allowed)
}

func notAllowed(c *call, allowed []string) error {
	slices.Sort(allowed)
	c.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return fault.New(fault.Method, "method_not_allowed", "%s is not offered here. Use %s.", c.r.Method, strings.Join(allowed, " or "))
}

// call is one request on its way through a handler.
type call struct {
	w     *recorder
	r     *http.Request
	attrs []slog.Attr // for the log record
}

func (c *call) ctx() context.Context { return c.r.Context() }

// note adds to the request's log record. Nothing that a caller, a model or
// code said belongs there.
func (c *call) note(attrs ...slog.Attr) { c.attrs = append(c.attrs, attrs...) }

// serve is the one way in: it bounds the request in time, survives its
// panics, turns its error into an answer, and writes its one log record.
func (a *App) serve(function string, limit time.Duration, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		from := host.CallOf(r)
		ctx, cancel := context.WithTimeout(host.With(r.Context(), from), limit)
		defer cancel()
		c := &call{w: &recorder{ResponseWriter: w}, r: r.WithContext(ctx)}
		c.w.Header().Set("X-Content-Type-Options", "nosniff")
		c.w.Header().Set("Cache-Control", "no-store")
		err := survive(h, c)
		if err != nil && c.w.status == 0 {
			problemOf(err, from).write(c.w)
		}
		a.record(c, function, time.Since(start), err)
		if errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler) // net/http breaks the connection: the answer is not whole
		}
	})
}

// survive runs h and turns a panic into an error with its stack.
func survive(h handler, c *call) (err error) {
	defer func() {
		p := recover()
		switch {
		case p == nil:
		case c.w.status != 0:
			err = fmt.Errorf("%w after panic: %v\n%s", http.ErrAbortHandler, p, debug.Stack())
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h(c)
}

// record writes the request's log record.
func (a *App) record(c *call, function string, took time.Duration, err error) {
	attrs := append([]slog.Attr{
		slog.String("function", function), slog.String("method", c.r.Method), slog.Int("status", c.w.status),
		slog.Int64("bytes", c.w.bytes), slog.Int64("ms", took.Milliseconds()),
	}, c.attrs...)
	level := slog.LevelInfo
	if err != nil {
		e := fault.From(err)
		attrs = append(attrs, slog.String("code", e.Code), slog.String("kind", e.Kind.String()))
		if statuses[e.Kind] >= http.StatusInternalServerError {
			level = slog.LevelError
			attrs = append(attrs, slog.String("error", err.Error()))
		}
	}
	a.log.LogAttrs(c.ctx(), level, "request", attrs...)
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
