package host

import (
	"context"
	"io"
	"log/slog"
)

// NewLog returns a logger that writes one JSON line a record, each with the
// invocation id and trace context of its context, since the host adds none to
// a handler's lines.
//
// The host takes stdout for Information and stderr for Error, or for Warning
// where the line holds "warn" (HttpWorkerProcess, WorkerProcess). So records
// below Warn go to stdout and the others to stderr.
func NewLog(stdout, stderr io.Writer, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	return slog.New(&logHandler{out: slog.NewJSONHandler(stdout, options), err: slog.NewJSONHandler(stderr, options)})
}

type logHandler struct{ out, err slog.Handler }

func (h *logHandler) to(level slog.Level) slog.Handler {
	if level >= slog.LevelWarn {
		return h.err
	}
	return h.out
}

func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to(level).Enabled(ctx, level)
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	c := From(ctx)
	if c.InvocationID != "" {
		r.AddAttrs(slog.String("invocation_id", c.InvocationID))
	}
	if c.Traceparent != "" {
		r.AddAttrs(slog.String("traceparent", c.Traceparent))
	}
	return h.to(r.Level).Handle(ctx, r)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.out.WithAttrs(attrs), h.err.WithAttrs(attrs)}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.out.WithGroup(name), h.err.WithGroup(name)}
}
