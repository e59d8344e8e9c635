package sessions

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// Status tells where an execution stands.
type Status string

const (
	NotStarted Status = "NotStarted" // waits; only of an asynchronous one
	Running    Status = "Running"    // only of an asynchronous one
	Succeeded  Status = "Succeeded"  // ran to its end
	Failed     Status = "Failed"     // was run and failed; see [Execution.Failure]
)

// Ended reports whether the execution is over.
func (s Status) Ended() bool { return s == Succeeded || s == Failed }

// Failure is the class of a failed execution.
type Failure string

const (
	Raised          Failure = "raised"           // an exception reached the top; the traceback ends Stderr
	TimedOut        Failure = "timed_out"        // ran into its time limit
	Aborted         Failure = "aborted"          // was stopped: out of memory, or queued behind one that timed out
	KernelRestarted Failure = "kernel_restarted" // the interpreter died; its variables are lost
)

// Execution is what came of code that was run.
type Execution struct {
	ID       string
	Status   Status
	Failure  Failure // empty unless Status is Failed
	Stdout   string
	Stderr   string
	Duration time.Duration // of the code alone, as the service measured it
	// Truncated tells that Stdout or Stderr is as long as it may be. The
	// service cuts a longer one and leaves no mark.
	Truncated bool
	// Result is the value of the last expression as the service encodes it:
	// null for None, "" for no value, Python's repr decoded where it happens
	// to be JSON, else the repr in a string, and an object for an image. See
	// [Execution.ResultText] and [Execution.Image].
	Result json.RawMessage
	// Lost tells what earlier executions had left and is gone.
	Lost Loss
	// SessionGUID names the container behind the session; see
	// [Execution.StateLost]. It may be empty.
	SessionGUID string
	OperationID string // for a support case; may be empty

	maxChars int // of a stream, as the request said
}

// Loss is what a session had and no longer has.
type Loss string

const (
	NothingLost    Loss = ""           // or it cannot be told: see [Session]
	VariablesLost  Loss = "variables"  // the interpreter was restarted; files are still there
	EverythingLost Loss = "everything" // the session has a new container
)

// StateLost reports whether the variables of earlier executions are gone,
// where previousGUID is the SessionGUID of the last one, or empty.
func (e *Execution) StateLost(previousGUID string) bool {
	return e.Failure == KernelRestarted ||
		previousGUID != "" && e.SessionGUID != "" && e.SessionGUID != previousGUID
}

// wireExecution is an execution's wire form, as far as it is used. Beside it
// stand "$id" keys, and whatever else a version adds.
type wireExecution struct {
	ID     string          `json:"id"`
	Status string          `json:"status"`
	Error  json.RawMessage `json:"error"`
	Result wireResult      `json:"result"`
	// Properties is what the first api-versions have in place of the rest.
	Properties *struct {
		wireResult
		Status string          `json:"status"`
		Error  json.RawMessage `json:"error"`
		Value  json.RawMessage `json:"result"`
	} `json:"properties"`
}

type wireResult struct {
	Stdout         string          `json:"stdout"`
	Stderr         string          `json:"stderr"`
	Value          json.RawMessage `json:"executionResult"`
	Millis         float64         `json:"executionTimeInMilliseconds"`
	MaxStreamChars int             `json:"outputStreamsMaxLength"`
}

// unwrap brings the first api-versions' form into the other's. Their value was
// seen under both names.
func (w *wireExecution) unwrap() {
	p := w.Properties
	if p == nil {
		return
	}
	w.Status, w.Error, w.Result = p.Status, p.Error, p.wireResult
	if len(p.Value) > 0 {
		w.Result.Value = p.Value
	}
}

// decodeAnswer reads the answer to an operation on an execution.
func decodeAnswer(header http.Header, data []byte, maxChars int) (*Execution, error) {
	e, err := decodeExecution(data, maxChars)
	if err != nil {
		return nil, err
	}
	e.OperationID = header.Get("operation-id")
	e.SessionGUID = header.Get("X-Ms-Session-Guid")
	e.ID = cmp.Or(e.ID, e.OperationID)
	return e, nil
}

// decodeExecution reads an execution whose streams were limited to maxChars
// characters. Its error is an [*Error] of kind [ErrProtocol].
func decodeExecution(data []byte, maxChars int) (*Execution, error) {
	var w wireExecution
	if err := decode(data, &w); err != nil {
		return nil, err
	}
	w.unwrap()
	e := &Execution{ID: w.ID, maxChars: maxChars}
	switch strings.ToLower(w.Status) {
	case "notstarted":
		e.Status = NotStarted
	case "running":
		e.Status = Running
	case "succeeded", "success":
		e.Status = Succeeded
	case "failed", "failure", "canceled", "cancelled":
		e.Status = Failed
	default:
		return nil, &Error{kind: ErrProtocol, MayHaveRun: true, Message: fmt.Sprintf("The execution's status is %.20q.", w.Status)}
	}
	if e.Status.Ended() { // before that, stdout was seen to hold an id
		e.fill(w)
	}
	return e, nil
}

// fill takes over what came of the execution.
func (e *Execution) fill(w wireExecution) {
	e.Stdout, e.Stderr, e.Result = w.Result.Stdout, w.Result.Stderr, w.Result.Value
	e.Duration = time.Duration(min(max(w.Result.Millis, 0), 1e9) * float64(time.Millisecond))
	if w.Result.MaxStreamChars > 0 {
		e.maxChars = w.Result.MaxStreamChars
	}
	e.Truncated = utf8.RuneCountInString(e.Stdout) >= e.maxChars || utf8.RuneCountInString(e.Stderr) >= e.maxChars
	if e.Status == Failed {
		e.fail(w.Error)
	}
	if strings.HasPrefix(strings.ToLower(w.Status), "cancel") {
		e.Failure = Aborted
	}
	if e.Failure == KernelRestarted {
		e.Lost = VariablesLost
	}
}

// fail classifies a failure. The service tells its class by nothing but how
// stderr begins.
func (e *Execution) fail(reason json.RawMessage) {
	e.Failure = Raised
	if e.Stderr == "" { // so that no failure goes without a word
		e.Stderr = decodeDetail(reason).Message
	}
	switch {
	case strings.HasPrefix(e.Stderr, "Request timed out waiting for code execution to complete"):
		e.Failure = TimedOut
	case strings.HasPrefix(e.Stderr, "Execution aborted"):
		e.Failure = Aborted
	case strings.HasPrefix(e.Stderr, "Kernel restarted"):
		e.Failure = KernelRestarted
	}
}
