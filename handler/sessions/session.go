package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Session is what the service knows about a session.
type Session struct {
	CreatedAt      time.Time
	LastAccessedAt time.Time
	ExpiresAt      time.Time // when it ends if it is left alone; each call moves it
	ETag           string    // names the container; another one means that all state is lost
}

// GetSession returns the session. The error is [ErrSessionGone] or
// [ErrNotFound] if there is none, or one of those of [Client.Execute]; being
// harmless, the call is repeated whatever went wrong.
func (c *Client) GetSession(ctx context.Context, identifier string) (*Session, error) {
	body, err := c.session(ctx, http.MethodGet, identifier)
	if err != nil {
		return nil, fmt.Errorf("get a session: %w", err)
	}
	var b struct {
		CreatedAt      time.Time
		LastAccessedAt time.Time
		ExpireAt       time.Time
		ExpiresAt      time.Time // the name in pools of custom containers
		ETag           string
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("get a session: %w", &Error{kind: ErrProtocol, cause: err})
	}
	if b.ExpireAt.IsZero() {
		b.ExpireAt = b.ExpiresAt
	}
	return &Session{b.CreatedAt, b.LastAccessedAt, b.ExpireAt, b.ETag}, nil
}

// DeleteSession ends the session, and with it its variables and files. A later
// execution with the same identifier gets a fresh one. That there is no such
// session is not an error.
func (c *Client) DeleteSession(ctx context.Context, identifier string) error {
	_, err := c.session(ctx, http.MethodDelete, identifier)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("delete a session: %w", err)
	}
	return nil
}

func (c *Client) session(ctx context.Context, method, identifier string) ([]byte, error) {
	req, err := c.request(c.retryIf(ctx, transient), method, identifier, "session")
	if err != nil {
		return nil, err
	}
	_, body, err := c.send(req)
	return body, err
}
