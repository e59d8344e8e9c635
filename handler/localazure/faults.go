package localazure

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Fault is something that goes wrong on purpose. The zero value is no fault.
type Fault struct {
	Status     int           // answer with this status in place of the real answer; 0: do not
	Header     http.Header   // more headers of that answer
	Body       string        // body of that answer; empty: the service's own for that status
	RetryAfter time.Duration // sent as Retry-After, in whole seconds; 0: not sent
	Delay      time.Duration // wait so long before anything is answered; ends when the caller goes
	CutAfter   int           // break the connection after so many bytes of the answer's body; 0: do not; -1: before the first
	Times      int           // how many requests it hits; 0: all until it is cleared
}

// Faults holds the fault that a stand-in is to show. The zero value shows
// none. It is safe for concurrent use.
type Faults struct {
	mu    sync.Mutex
	fault *Fault
	left  int
}

// Set makes requests from now on meet f.
func (f *Faults) Set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.left = &fault, fault.Times
}

// Clear ends the fault.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = nil
}

// take returns the fault for one request, and counts it.
func (f *Faults) take() (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == nil {
		return Fault{}, false
	}
	fault := *f.fault
	if fault.Times > 0 {
		if f.left--; f.left <= 0 {
			f.fault = nil
		}
	}
	return fault, true
}

// wrap serves next, or the fault. body gives the service's own error body for
// a status.
func (f *Faults) wrap(next http.Handler, body func(status int) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault, ok := f.take()
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if fault.Delay > 0 && !(takeBody(r) && wait(r, fault.Delay)) {
			return
		}
		if fault.CutAfter != 0 {
			w = &cutter{ResponseWriter: w, left: max(fault.CutAfter, 0)}
		}
		if fault.Status == 0 {
			next.ServeHTTP(w, r)
			return
		}
		fault.write(w, body)
	})
}

// write answers with the fault's status.
func (f Fault) write(w http.ResponseWriter, body func(status int) string) {
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	text := f.Body
	if text == "" {
		text = body(f.Status)
	}
	if w.Header().Get("Content-Type") == "" && text != "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(text))
}

// takeBody reads the request's body, for next to read from memory, and reports
// whether it came whole. Until then the server does not notice that the caller
// goes away.
func takeBody(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil
}

// wait reports whether d passed before the caller went away.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// cutter breaks the connection once left bytes of the body are written.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (c *cutter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
