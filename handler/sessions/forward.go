package sessions

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
)

// Forward sends a request to the container behind the session, which is
// started if there is none, and returns its answer whatever the status; the
// caller closes the body. It is for pools of custom containers alone.
//
// Of r's URL only the path and the query count, the path as the container
// knows it. The pool's token takes the place of an Authorization header. The
// bodies of request and answer are streamed, and r's context bounds both. A
// redirect is not followed. The request is sent again only if the pool could
// not be connected to. A path among the pool's own, .management, is refused.
func (c *Client) Forward(identifier string, r *http.Request) (*http.Response, error) {
	op := operation{name: "forward a request", method: r.Method, path: strings.TrimLeft(r.URL.EscapedPath(), "/"),
		identifier: identifier, toContainer: true, streamed: true, query: r.URL.Query(), header: r.Header.Clone()}
	if err := c.checkForward(r.URL); err != nil {
		return nil, op.failed(err)
	}
	var taken atomic.Bool
	op.body = forwardedBody(r, &taken)
	op.again = func(_ *http.Response, err error) bool {
		return err != nil && declined(nil, err) && (!taken.Load() || r.GetBody != nil)
	}
	resp, err := c.exchange(r.Context(), op)
	if err != nil {
		return nil, op.failed(err)
	}
	return resp, nil
}

func (c *Client) checkForward(u *url.URL) error {
	if !c.custom {
		return &Error{kind: ErrUnsupported, Message: "A pool of code interpreters has no container to forward to; see Options.CustomContainer."}
	}
	if u.Host != "" && !strings.EqualFold(u.Host, c.endpoint.Host) {
		return &Error{kind: ErrBadRequest, Message: "The request is for another host than the pool's; a token may not go there."}
	}
	// As a server sees it that decodes first and cleans then.
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(u.Path, `\`, "/")), "/"), "/")
	if strings.EqualFold(first, ".management") {
		return &Error{kind: ErrBadRequest, Message: "The path is not the container's: the pool manages its sessions there."}
	}
	return nil
}

// forwardedBody returns r's body, or nil if it has none.
func forwardedBody(r *http.Request, taken *atomic.Bool) *body {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	open := func() (io.ReadCloser, error) {
		if !taken.Swap(true) {
			return r.Body, nil
		}
		if r.GetBody == nil {
			return nil, errors.New("the body can be read only once")
		}
		return r.GetBody()
	}
	return &body{contentType: r.Header.Get("Content-Type"), size: r.ContentLength, open: open}
}
