package localazure

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// sessionsPage is how many sessions GET /listSessions returns at once: what
// the like operation of custom container pools does.
const sessionsPage = 300

// sessionBody is a session's wire form.
type sessionBody struct {
	Ref            string    `json:"$id,omitempty"`
	Identifier     string    `json:"identifier"`
	ETag           string    `json:"etag"` // names the container
	CreatedAt      time.Time `json:"createdAt"`
	LastAccessedAt time.Time `json:"lastAccessedAt"`
	ExpireAt       time.Time `json:"expireAt"`
}

// describe returns the session's wire form; the pool's mutex is held.
func (p *SessionPool) describe(identifier string, s *poolSession) sessionBody {
	accessed := s.accessed.UTC()
	return sessionBody{Identifier: identifier, ETag: s.guid, CreatedAt: s.created, LastAccessedAt: accessed, ExpireAt: accessed.Add(p.config.Cooldown)}
}

// getSession serves GET /session. What the service says of a session that it
// does not have is not known; this is what its newer management calls say.
func (p *SessionPool) getSession(c *poolCall) *poolError {
	s, problem := p.enter(c.identifier, false)
	if problem != nil {
		return problem
	}
	defer p.leave(s)
	p.mu.Lock()
	body := p.describe(c.identifier, s)
	p.mu.Unlock()
	body.Ref = c.ids.next()
	return c.answer(http.StatusOK, body)
}

// deleteSession serves DELETE /session. It answers once the session's Python
// and files are gone.
func (p *SessionPool) deleteSession(c *poolCall) *poolError {
	s := p.take(c.identifier)
	if s == nil {
		return poolGone()
	}
	p.discard(s)
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// listSessions serves GET /listSessions: a page of them, oldest first, under
// the name that the specification has and not the documentation's "value".
func (p *SessionPool) listSessions(c *poolCall) *poolError {
	skip, err := strconv.Atoi(cmp.Or(c.r.URL.Query().Get("skip"), "0"))
	if err != nil || skip < 0 {
		return poolInvalid("skip", "The offset must be a number that is not negative.")
	}
	var body struct {
		Ref      string        `json:"$id,omitempty"`
		Sessions []sessionBody `json:"sessions"`
		NextLink *string       `json:"nextLink"`
	}
	all := p.describeAll()
	page := all[min(skip, len(all)):]
	if len(page) > sessionsPage {
		page, body.NextLink = page[:sessionsPage], new(nextPage(c.r, skip+sessionsPage))
	}
	body.Ref = c.ids.next()
	for i := range page {
		page[i].Ref = c.ids.next()
	}
	body.Sessions = page
	return c.answer(http.StatusOK, body)
}

// describeAll returns all sessions, oldest first.
func (p *SessionPool) describeAll() []sessionBody {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]sessionBody, 0, len(p.sessions))
	for identifier, s := range p.sessions {
		all = append(all, p.describe(identifier, s))
	}
	slices.SortFunc(all, func(a, b sessionBody) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Identifier, b.Identifier))
	})
	return all
}

// nextPage returns the URL of the page after this request's.
func nextPage(r *http.Request, skip int) string {
	query := r.URL.Query()
	query.Set("skip", strconv.Itoa(skip))
	next := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: query.Encode()}
	return next.String()
}

// named is the wire form of a runtime or a package.
type named struct {
	Ref     string `json:"$id,omitempty"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// getMetadata serves GET /metadata, which says what the pool's sessions run.
// There are no packages but the standard library, and no Jupyter; the
// specification requires both fields.
func (p *SessionPool) getMetadata(c *poolCall) *poolError {
	type kernel struct {
		named
		ProjectURL  string `json:"projectUrl"`
		Description string `json:"description"`
	}
	return c.answer(http.StatusOK, struct {
		Ref           string    `json:"$id,omitempty"`
		CreatedAt     time.Time `json:"createdAt"`
		LastUpdatedAt time.Time `json:"lastUpdatedAt"`
		Runtimes      []named   `json:"runtimes"`
		Packages      []named   `json:"preInstalledPackages"`
		Kernel        kernel    `json:"jupyterKernel"`
	}{c.ids.next(), p.created, p.created,
		[]named{{c.ids.next(), "Python", p.config.PythonVersion}}, []named{},
		kernel{named{c.ids.next(), "stand-in", p.config.PythonVersion}, "https://www.python.org", "CPython in WebAssembly, in place of a Jupyter kernel."}})
}
