// Package fault is how an error crosses a package boundary in this program.
//
// An adapter (llm, interpreter, store, identity) looks once at what a service
// answered and says it as an [Error]: a kind, from which the HTTP status and
// the retry decision follow; a stable code, for programs; a sentence that is
// safe to show and says what to do; and the cause, for the log. Whoever is
// further up matches the kind or the code, never a text. An error that nobody
// classified is [Internal]: the caller reads a fixed sentence and the log
// holds it whole.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind is the sort of an error: what the caller can do about it.
type Kind int

const (
	Internal        Kind = iota // a bug, or a failure nobody foresaw
	Invalid                     // the request is wrong; repeating it is useless
	Unauthenticated             // nobody says who the caller is
	TooLarge                    // the request is bigger than is allowed
	Unsupported                 // the request's media type is not understood
	Method                      // the HTTP method is not offered
	NotFound                    // no such thing, or it is not the caller's
	Conflict                    // the thing is busy or changed meanwhile
	Refused                     // the model's provider will not serve this content
	Throttled                   // too many requests; see RetryAfter
	Denied                      // a service refused our identity: an operator must act
	Misconfigured               // a setting names something that is not there: an operator must act
	Unavailable                 // a service is down or broke off; a repeat may work
	Deadline                    // time ran out
	Canceled                    // the caller went away
)

var kindNames = [...]string{"internal", "invalid", "unauthenticated", "too_large", "unsupported", "method", "not_found", "conflict",
	"refused", "throttled", "denied", "misconfigured", "unavailable", "deadline", "canceled"}

// String returns the kind's name as it stands in logs.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return kindNames[k]
}

// Error is a classified error.
type Error struct {
	Kind Kind
	// Code is stable and lower_snake_case; programs switch on it.
	Code string
	// Message is one or two sentences for the caller: what was wrong, where,
	// and what to do. It never holds a token, a key or another caller's data.
	Message string
	// RetryAfter is how long to wait before a repeat; zero when unknown.
	RetryAfter time.Duration
	// UpstreamID is the failing service's own id of the request
	// (apim-request-id, traceId), for a support case; it may be empty.
	UpstreamID string
	// Err is the cause, logged whole and never shown.
	Err error
}

// New returns a classified error with a message built by [fmt.Sprintf].
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because sets the cause and returns e.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// Error returns the text for the log: code, message and cause.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Message
	if e.UpstreamID != "" {
		s += " (upstream request " + e.UpstreamID + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// From returns the classified error in err's chain. Where there is none it
// makes one: Canceled or Deadline for the context's errors, else Internal with
// the fixed sentence that callers see. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		return New(Canceled, "canceled", "The request was canceled.").Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return New(Deadline, "deadline_exceeded", "The request took longer than it may. Ask for less at a time, or run it as a job.").Because(err)
	}
	return New(Internal, "internal_error", "Something went wrong on our side. The operator can find it in the log by this request's id.").Because(err)
}

// Is reports whether err is of kind k, by the rules of [From].
func Is(err error, k Kind) bool { return err != nil && From(err).Kind == k }
