package bus

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Types of the tokens that clients put.
const (
	tokenJWT = "jwt"
	tokenSAS = "servicebus.windows.net:sastoken"
)

// putToken handles a message to $cbs: a token for an audience, upon which the
// connection may use what the audience names, until the token expires.
func (b *Broker) putToken(in incoming) {
	r, ok := readRequest(in)
	if !ok {
		return
	}
	audience := text(r.properties["name"])
	var fault TokenFault
	if hook := b.faults.onToken; hook != nil {
		fault = hook(audience)
	}
	// A timer's goroutine, since the check runs without the mutex.
	time.AfterFunc(fault.Delay, func() {
		status, description := fault.Status, "The broker was told to fail."
		var expiry time.Time
		if status == 0 {
			status, description, expiry = b.checkToken(r)
		}
		b.do(func() { r.claim(audience, status, description, expiry) })
	})
}

// checkToken says whether the token of r is good, as an HTTP status.
func (b *Broker) checkToken(r request) (status int, description string, expiry time.Time) {
	token := text(r.body)
	expiry = expiryOf(r.properties["expiration"])
	switch kind := text(r.properties["type"]); kind {
	case tokenJWT:
		if b.cfg.CheckToken != nil {
			if err := b.cfg.CheckToken(token); err != nil {
				return http.StatusUnauthorized, "The token is not accepted: " + err.Error(), expiry
			}
		}
	case tokenSAS:
		raw, found := strings.CutPrefix(token, "SharedAccessSignature ")
		values, err := url.ParseQuery(raw)
		if !found || err != nil || values.Get("sig") == "" {
			return http.StatusUnauthorized, "The token is not a shared access signature.", expiry
		}
		expiry = expiryOf(values.Get("se"))
	default:
		return http.StatusBadRequest, fmt.Sprintf("Tokens of type %q are not supported.", kind), expiry
	}
	if !time.Now().Before(expiry) {
		return http.StatusUnauthorized, "The token has expired.", expiry
	}
	return http.StatusAccepted, "Accepted", expiry
}

// expiryOf reads a time in seconds since 1970, or a timestamp. What is missing
// or unreadable never expires.
func expiryOf(v any) time.Time {
	if t, ok := v.(time.Time); ok {
		return t
	}
	if seconds, err := strconv.ParseInt(fmt.Sprint(v), 10, 64); err == nil {
		return time.Unix(seconds, 0)
	}
	return time.Unix(1<<40, 0)
}

// claim records a good token, and answers the client.
func (r request) claim(audience string, status int, description string, expiry time.Time) {
	c := r.l.s.c
	path := entityPath(audience)
	switch q, _ := c.b.queue(path); {
	case status >= 300:
		c.b.note("a Service Bus token was refused", "path", path, "status", status)
	case q == nil && path != "":
		status, description = http.StatusNotFound, fmt.Sprintf("The messaging entity %q could not be found.", audience)
	default:
		c.claims[path] = expiry
	}
	r.reply(status, description, nil)
}

// authorize says whether a token was put that covers path: one for it, for
// what it is part of, or for the whole namespace.
func (c *conn) authorize(path string) *refusal {
	for claim, expiry := range c.claims {
		if time.Now().Before(expiry) && (claim == "" || claim == path || strings.HasPrefix(path, claim+"/")) {
			return nil
		}
	}
	return &refusal{condUnauthorized, fmt.Sprintf("Unauthorized access. 'Listen' or 'Send' claim(s) are required on %q.", path)}
}
