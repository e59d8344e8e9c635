package sessions

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// SessionInfo is what the service knows about a session. Printed or logged, it
// does not tell the identifier.
type SessionInfo struct {
	Identifier     string // whoever has it and a token owns the session
	CreatedAt      time.Time
	LastAccessedAt time.Time
	ExpiresAt      time.Time // when it ends if it is left alone; each call moves it
	ETag           string    // names the container; another one means that all state is lost
}

// Format prints a SessionInfo by any verb without its identifier.
func (s SessionInfo) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s (created %s, expires %s)", alias(s.Identifier), s.CreatedAt.Format(time.RFC3339), s.ExpiresAt.Format(time.RFC3339))
}

// LogValue is what a log gets.
func (s SessionInfo) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// GetSession returns the session. The error is [ErrSessionGone] or
// [ErrNotFound] if there is none, or one of those of [Client.Execute]; being
// harmless, the call is repeated whatever went wrong. It needs
// 2025-02-02-preview or later.
func (c *Client) GetSession(ctx context.Context, identifier string) (*SessionInfo, error) {
	op := onSession("get a session", http.MethodGet, identifier, "session")
	op.since = version2502
	if c.custom {
		op.method, op.path = http.MethodPost, ".management/getSession"
	}
	_, data, err := c.send(ctx, op)
	if err != nil {
		return nil, op.failed(err)
	}
	var w wireSession
	if err := decode(data, &w); err != nil {
		return nil, op.failed(err)
	}
	info := w.info()
	info.Identifier = identifier
	return &info, nil
}

// DeleteSession ends the session, and with it its variables and files. A later
// execution with the same identifier gets a fresh one. That there is no such
// session is not an error. It needs 2025-02-02-preview or later.
func (c *Client) DeleteSession(ctx context.Context, identifier string) error {
	op := onSession("delete a session", http.MethodDelete, identifier, "session")
	op.since = version2502
	if c.custom {
		op.method, op.path = http.MethodPost, ".management/stopSession"
	}
	_, _, err := c.send(ctx, op)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return op.failed(err)
	}
	return nil
}

// ListSessions returns the pool's sessions, page by page as they are asked
// for. An error ends the list; its kinds are those of [Client.GetSession]. It
// needs 2025-02-02-preview or later.
func (c *Client) ListSessions(ctx context.Context) iter.Seq2[SessionInfo, error] {
	op := operation{name: "list sessions", since: version2502, method: http.MethodGet, path: "listSessions", ofPool: true, again: transient}
	if c.custom {
		op.method, op.path, op.query = http.MethodPost, ".management/listSessions", url.Values{"skip": {"0"}}
	}
	return pages(ctx, c, op, decodeSessions)
}

// wireSession is a session's wire form. When it ends has two names: one in
// pools of code interpreters, one in those of custom containers.
type wireSession struct {
	Identifier     string    `json:"identifier"`
	CreatedAt      time.Time `json:"createdAt"`
	LastAccessedAt time.Time `json:"lastAccessedAt"`
	ExpireAt       time.Time `json:"expireAt"`
	ExpiresAt      time.Time `json:"expiresAt"`
	ETag           string    `json:"etag"`
}

func (w wireSession) info() SessionInfo {
	info := SessionInfo{w.Identifier, w.CreatedAt, w.LastAccessedAt, w.ExpireAt, w.ETag}
	if info.ExpiresAt.IsZero() {
		info.ExpiresAt = w.ExpiresAt
	}
	return info
}

// decodeSessions reads a page. The documentation has the list under "value",
// the service under "sessions".
func decodeSessions(data []byte) ([]SessionInfo, string, error) {
	var page struct {
		Sessions []wireSession `json:"sessions"`
		Value    []wireSession `json:"value"`
		NextLink string        `json:"nextLink"`
	}
	if err := decode(data, &page); err != nil {
		return nil, "", err
	}
	var all []SessionInfo
	for _, w := range append(page.Sessions, page.Value...) {
		all = append(all, w.info())
	}
	return all, page.NextLink, nil
}

// Metadata is what a pool of code interpreters offers.
type Metadata struct {
	Runtimes      []Package `json:"runtimes"`
	Packages      []Package `json:"preInstalledPackages"`
	Kernel        Kernel    `json:"jupyterKernel"`
	CreatedAt     time.Time `json:"createdAt"`
	LastUpdatedAt time.Time `json:"lastUpdatedAt"`
}

// Package is a runtime or a library of a pool.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Kernel is the Jupyter kernel behind a pool's sessions.
type Kernel struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	ProjectURL  string `json:"projectUrl"`
	Description string `json:"description"`
}

// Metadata returns what the pool offers. It needs 2025-02-02-preview or later,
// and a pool of code interpreters.
func (c *Client) Metadata(ctx context.Context) (*Metadata, error) {
	op := operation{name: "get the pool's metadata", since: version2502, method: http.MethodGet, path: "metadata", ofPool: true, again: transient}
	if c.custom {
		return nil, op.failed(&Error{kind: ErrUnsupported, Message: "A pool of custom containers has no metadata."})
	}
	_, data, err := c.send(ctx, op)
	if err != nil {
		return nil, op.failed(err)
	}
	var m Metadata
	if err := decode(data, &m); err != nil {
		return nil, op.failed(err)
	}
	return &m, nil
}
