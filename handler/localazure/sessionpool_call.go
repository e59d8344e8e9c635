package localazure

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
)

// poolCall is a request to the pool, and its answer.
type poolCall struct {
	w          http.ResponseWriter
	r          *http.Request
	version    poolVersion
	identifier string // of the session, if the operation is on one
	ids        poolIDs
}

// answer writes body as JSON.
func (c *poolCall) answer(status int, body any) *poolError {
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.WriteHeader(status)
	_ = json.NewEncoder(c.w).Encode(body) // the only failure is that the caller is gone
	return nil
}

// poolIDs numbers the objects of an answer in the order in which they are
// written, as the serialiser of the service does.
type poolIDs struct {
	off  bool
	last int
}

// next returns the "$id" of the next object; empty if there are to be none.
func (n *poolIDs) next() string {
	if n.off {
		return ""
	}
	n.last++
	return strconv.Itoa(n.last)
}

// poolIdentifiers is the pattern of the API's specification. That of
// 2024-10-02-preview differs; whether the service holds to it is not known.
var poolIdentifiers = regexp.MustCompile("^[a-zA-Z0-9_|}{\\[\\]:\"';<>?/.,@#$%^&*()\\-+=!~`]{4,128}$")

// identified serves an operation on a session.
func (p *SessionPool) identified(serve func(*poolCall) *poolError) func(*poolCall) *poolError {
	return func(c *poolCall) *poolError {
		c.identifier = c.r.URL.Query().Get("identifier")
		if !poolIdentifiers.MatchString(c.identifier) {
			return poolInvalid("identifier", "The identifier must have 4 to 128 characters of those allowed.")
		}
		return serve(c)
	}
}

// inSession serves an operation within a session, which is allocated if there
// is none and does not expire meanwhile.
func (p *SessionPool) inSession(serve func(*poolCall, *poolSession) *poolError) func(*poolCall) *poolError {
	return p.identified(func(c *poolCall) *poolError {
		s, problem := p.enter(c.identifier, true)
		if problem != nil {
			return problem
		}
		defer p.leave(s)
		return serve(c, s)
	})
}
