package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What an [*Error] is about, for [errors.Is].
var (
	ErrBadRequest   = errors.New("the request is not valid")
	ErrUnauthorized = errors.New("the token was not accepted")
	ErrForbidden    = errors.New("access was denied")
	ErrNotFound     = errors.New("not found")
	ErrUnsupported  = fmt.Errorf("the pool cannot do this: %w", ErrBadRequest)
	ErrSessionGone  = fmt.Errorf("the session has ended: %w", ErrNotFound)
	ErrPoolFull     = fmt.Errorf("no session can be allocated: %w", ErrNotFound)
	ErrTooLarge     = errors.New("the request is too large")
	ErrThrottled    = errors.New("too many requests")
	ErrUnavailable  = errors.New("the service is not available")
	ErrRedirected   = errors.New("the service redirects elsewhere")
	ErrProtocol     = errors.New("the answer is not what the API describes")
)

// ErrToken is in the chain of an error that came from the credential, beside
// the credential's own.
var ErrToken = errors.New("get a token for the session pool")

// errNoAnswer is the cause of a context that ended because the service took
// longer than the code may have taken.
var errNoAnswer = errors.New("no answer in time")

// Error tells why the pool did not do what it was asked to. It matches one of
// the Err variables by [errors.Is], and unwraps to the network's error if
// there was one. Nothing in it names the session.
type Error struct {
	StatusCode  int           // of the answer; 0 if there was none
	Code        string        // the service's own, such as SessionRequestValidationFailed; may be empty
	Message     string        // the service's own, cut to a thousand bytes; may be empty
	Target      string        // what the message is about; may be empty
	TraceID     string        // for a support case; may be empty
	OperationID string        // for a support case; may be empty
	RetryAfter  time.Duration // as the service asked; 0 if it did not
	// Hint is a sentence on what to look at; it may be empty.
	Hint string
	// MayHaveRun tells that the service may have done what it was asked to,
	// and that to repeat an execution may run the code twice.
	MayHaveRun bool

	kind  error // one of the Err variables
	cause error
}

// Error returns the error in one line, without the hint.
func (e *Error) Error() string {
	s := "session pool: " + e.kind.Error()
	if e.StatusCode != 0 {
		s += fmt.Sprintf(" (status %d)", e.StatusCode)
	}
	for _, part := range []string{e.Code, e.Message} {
		if part != "" {
			s += ": " + part
		}
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	if e.TraceID != "" {
		s += " (trace " + e.TraceID + ")"
	}
	return s
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// noAnswer classifies what went wrong before there was a whole answer.
func noAnswer(ctx context.Context, err error) error {
	if context.Cause(ctx) == errNoAnswer {
		return &Error{kind: ErrUnavailable, MayHaveRun: true, cause: errNoAnswer}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ErrToken) {
		return err
	}
	if e, ok := errors.AsType[*url.Error](err); ok { // its text has the URL, and so the identifier
		err = e.Err
	}
	return &Error{kind: ErrUnavailable, MayHaveRun: !declined(nil, err), cause: err}
}

// refusal makes an error of an answer whose status is not a good one.
func refusal(identifier string, resp *http.Response) *Error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // a part of it is better than nothing
	d := decodeDetail(body)
	if d.Code == "" {
		d.Code = resp.Header.Get("x-ms-error-code")
	}
	d.Message, d.Target = without(identifier, d.Message), without(identifier, d.Target)
	return &Error{
		StatusCode:  resp.StatusCode,
		Code:        d.Code,
		Message:     strings.ToValidUTF8(d.Message[:min(len(d.Message), 1000)], ""),
		Target:      d.Target,
		TraceID:     d.TraceID,
		OperationID: resp.Header.Get("operation-id"),
		RetryAfter:  retryAfter(resp.Header),
		MayHaveRun:  resp.StatusCode >= 500 && !declined(resp, nil),
		Hint:        hint(resp.StatusCode, d.Code),
		kind:        kindOf(resp.StatusCode, d.Code),
	}
}

// without returns text with the identifier blotted out.
func without(identifier, text string) string {
	if identifier == "" {
		return text
	}
	return strings.NewReplacer(identifier, "...", url.QueryEscape(identifier), "...", url.PathEscape(identifier), "...").Replace(text)
}

func kindOf(status int, code string) error {
	switch code {
	case "SessionWithIdentifierNotFound", "SessionNotFound": // with status 400
		return ErrSessionGone
	case "SessionRequestNotSupported":
		return ErrUnsupported
	}
	switch status {
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case http.StatusTooManyRequests:
		return ErrThrottled
	}
	switch {
	case status < 400:
		return ErrRedirected
	case status < 500 && status != http.StatusRequestTimeout:
		return ErrBadRequest
	}
	return ErrUnavailable
}

// hint says what usually is behind an answer. The service's own texts often
// say nothing: an api-version that it does not know reads as a bare 401.
func hint(status int, code string) string {
	if hint, ok := codeHint(code); ok {
		return hint
	}
	switch status {
	case http.StatusUnauthorized:
		return "Check that " + roleHint + ", " +
			"that the token's audience is https://dynamicsessions.io, and that the api-version exists: the service answers an unknown one like this."
	case http.StatusForbidden:
		return "Check that " + roleHint + ". " +
			"A new role takes some minutes and a new token to work. A path that the service does not know is answered like this too."
	case http.StatusNotFound:
		return "There is no such file, execution or session, or the endpoint names no pool; a pool that can give no session answers like this too."
	case http.StatusRequestEntityTooLarge:
		return "The service takes at most 128 MB."
	case http.StatusTooManyRequests:
		return "The pool takes no more for now: wait as long as Retry-After says, or raise its maximum of concurrent sessions."
	}
	if status < 400 {
		return "The endpoint is not the pool's own: use its poolManagementEndpoint."
	}
	return ""
}

const roleHint = "the identity has the role Azure ContainerApps Session Executor on the pool (some pools also want Contributor)"

// poolFullHint is for a 404 where a session is to be had.
const poolFullHint = "Either the pool runs as many sessions as it may (max-sessions), or the endpoint names no pool."

func codeHint(code string) (hint string, ok bool) {
	switch code {
	case "SessionPropertiesMissing":
		return "The body's shape does not go with the api-version, or the pool is not one for Python.", true
	case "SessionRequestValidationFailed":
		return "The identifier, the api-version, the method or the endpoint is not valid: Target may say which.", true
	case "SessionRequestNotSupported":
		return "The pool does not have this operation at this api-version: try a later one, such as " + DefaultAPIVersion + ".", true
	case "SessionWithIdentifierNotFound", "SessionNotFound":
		return "The session was deleted, or left alone for the pool's cooldown period; its variables and files are lost.", true
	case "DynamicApisNotAllowed":
		return "The pool is one of custom containers: use its own endpoint, at azurecontainerapps.io, and Options.CustomContainer.", true
	}
	return "", false
}

// detail is the service's description of an error.
type detail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target"`
	TraceID string `json:"traceId"`
}

// decodeDetail finds the description in raw: an object, an object that holds
// it under "error", once or twice, a bare string, or plain text. It takes
// anything, and returns nothing for a web page.
func decodeDetail(raw []byte) detail {
	for range 3 {
		var d struct {
			detail
			Error json.RawMessage `json:"error"`
		}
		if json.Unmarshal(raw, &d) != nil || d.Error == nil {
			if d.detail == (detail{}) {
				return detail{Message: plainText(raw)}
			}
			return d.detail
		}
		raw = d.Error
	}
	return detail{}
}

func plainText(raw []byte) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	text = strings.ToValidUTF8(strings.TrimSpace(string(raw)), "")
	if strings.HasPrefix(text, "<") || strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") || text == "null" {
		return ""
	}
	return text
}
