package localazure

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"keyless/handler/localazure/python"
)

// keptExecutions is how many executions of a session GET /executions/{id} can
// find. What the service keeps is not known.
const keptExecutions = 16

// execute serves POST /executions: it waits for its turn in the session, runs
// the code, and answers 200 whatever came of it.
func (p *SessionPool) execute(w http.ResponseWriter, r *http.Request, identifier string) {
	q, problem := readPoolRequest(w, r)
	if problem != nil {
		problem.write(w)
		return
	}
	s, problem := p.enter(identifier, true)
	if problem != nil {
		problem.write(w)
		return
	}
	defer p.leave(s)
	outcome, err := p.run(r.Context(), s, q)
	switch {
	case r.Context().Err() != nil: // nobody reads an answer
	case s.ended.Err() != nil:
		poolGone().write(w)
	case err != nil:
		poolBroken(err).write(w)
	default:
		x := newPoolExecution(r.Header.Get("operation-id"), identifier, q, outcome)
		p.keep(s, x)
		setPoolHeaders(w, r, s, x)
		writePoolJSON(w, http.StatusOK, x)
	}
}

// run runs code in the session, one piece at a time, starting Python if need
// be. It ends with the caller and with the session.
func (p *SessionPool) run(ctx context.Context, s *poolSession, q *poolRequest) (python.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ended, cancel)()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return python.Outcome{}, ctx.Err()
	}
	if ctx.Err() != nil { // a select takes either of two that are ready
		return python.Outcome{}, ctx.Err()
	}
	if s.python == nil {
		started, err := p.config.Start(s.ended, s.dir)
		if err != nil {
			return python.Outcome{}, fmt.Errorf("start Python: %w", err)
		}
		s.python = started
	}
	outcome, err := s.python.Run(ctx, python.Request{Code: q.code, Timeout: q.timeout, MaxStreamBytes: q.maxChars * 4}) // UTF-8 takes four at most
	p.config.Log.DebugContext(ctx, "execution", slog.String("ending", string(outcome.Ending)), slog.Duration("took", outcome.Duration), slog.Any("error", err))
	return outcome, err
}

// keep remembers x for getExecution.
func (p *SessionPool) keep(s *poolSession, x poolExecution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.past = append(s.past, x)
	s.past = s.past[max(0, len(s.past)-keptExecutions):]
}

// getExecution serves GET /executions/{id}.
func (p *SessionPool) getExecution(w http.ResponseWriter, r *http.Request, identifier string) {
	s, problem := p.enter(identifier, false)
	if problem != nil {
		problem.write(w)
		return
	}
	defer p.leave(s)
	id := r.PathValue("id")
	p.mu.Lock()
	past := s.past
	p.mu.Unlock()
	for _, x := range past {
		if x.ID == id {
			writePoolJSON(w, http.StatusOK, x)
			return
		}
	}
	writePoolJSON(w, http.StatusNotFound, "No execution available for operation Id: "+id) // a bare string, as the service's container says it
}

// setPoolHeaders sets the headers that an execution's answer carries. The
// times are in different formats, as they are on the service.
func setPoolHeaders(w http.ResponseWriter, r *http.Request, s *poolSession, x poolExecution) {
	ms := strconv.Itoa(x.Result.Millis)
	h := w.Header()
	h.Set("operation-id", x.ID)
	h.Set("Operation-Location", "/executions/"+x.ID+"?"+r.URL.RawQuery) // without the pool's path, as it was seen
	h.Set("X-Ms-Session-Guid", s.guid)
	h.Set("X-Ms-Overall-Execution-Time", ms)
	h.Set("X-Ms-Execution-Request-Time", ms+".000000")
	h.Set("X-Ms-Preparation-Time", "0s")
}

// settle says an outcome in the service's words.
func settle(o python.Outcome, limit time.Duration) (status, stderr string) {
	switch o.Ending {
	case python.Completed:
		return "Succeeded", o.Stderr
	case python.Interrupted:
		return "Failed", fmt.Sprintf("Request timed out waiting for code execution to complete after %d seconds\n%s", limit/time.Second, o.Stderr)
	case python.Killed, python.Crashed:
		return "Failed", "Kernel restarted\n" + o.Stderr
	}
	return "Failed", o.Stderr
}

// encodeValue returns the result for the repr of the last expression: "" for
// no value, null for None, the repr as it is where it happens to be JSON, as
// for numbers, and else the repr as a string: "'x'" for the str x, "nan" for
// the float. The rule is drawn from the examples of the API's specification.
func encodeValue(repr *string) json.RawMessage {
	switch {
	case repr == nil:
		return json.RawMessage(`""`)
	case *repr == "None":
		return json.RawMessage("null")
	case json.Valid([]byte(*repr)):
		return json.RawMessage(*repr)
	}
	text, _ := json.Marshal(*repr) // a string always has a JSON form
	return text
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
