package host

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
)

// Call is what the host says about a request beside the request itself.
type Call struct {
	// InvocationID names this invocation in the host's own logs. Where there
	// is no host it is made here.
	InvocationID string
	// Traceparent is the W3C trace context, or empty.
	Traceparent string
}

var (
	invocationID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	traceparent  = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
)

// CallOf reads the host's headers. The host overwrites the invocation id that
// a caller may have sent (DefaultHttpProxyService); the trace context may be
// the caller's own, so both are taken only if well formed.
func CallOf(r *http.Request) Call {
	var c Call
	for _, name := range []string{"X-Azure-Functions-InvocationId", "X-Ms-Invocation-Id"} {
		if id := r.Header.Get(name); c.InvocationID == "" && invocationID.MatchString(id) {
			c.InvocationID = id
		}
	}
	if c.InvocationID == "" {
		c.InvocationID = rand.Text()
	}
	if parent := r.Header.Get("Traceparent"); traceparent.MatchString(parent) {
		c.Traceparent = parent
	}
	return c
}

type callKey struct{}

// With returns a context that carries c to the log.
func With(ctx context.Context, c Call) context.Context { return context.WithValue(ctx, callKey{}, c) }

// From returns the call that ctx carries, or the zero Call.
func From(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}
