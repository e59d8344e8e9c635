package sessions

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Status tells how an execution ended.
type Status string

const (
	Succeeded Status = "Succeeded" // ran to its end
	Failed    Status = "Failed"    // was run and failed; see [Execution.Failure]
)

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
	// SessionGUID names the container behind the session; see
	// [Execution.StateLost]. It may be empty.
	SessionGUID string
	OperationID string // for a support case; may be empty
}

// StateLost reports whether the variables of earlier executions are gone,
// where previousGUID is the SessionGUID of the last one, or empty.
func (e *Execution) StateLost(previousGUID string) bool {
	return e.Failure == KernelRestarted ||
		previousGUID != "" && e.SessionGUID != "" && e.SessionGUID != previousGUID
}

// ResultText returns the result as Python would show it, empty for no value
// and for an image.
func (e *Execution) ResultText() string {
	var text string
	if _, _, image := e.Image(); image || len(e.Result) == 0 {
		return ""
	}
	if bytes.Equal(e.Result, []byte("null")) {
		return "None"
	}
	if json.Unmarshal(e.Result, &text) == nil {
		return text
	}
	return string(e.Result)
}

// Image returns the image that the code showed, if it showed one: the format,
// such as "png", and the file's bytes.
func (e *Execution) Image() (format string, data []byte, ok bool) {
	if !bytes.HasPrefix(e.Result, []byte("{")) {
		return "", nil, false
	}
	var image struct {
		Type   string `json:"type"`
		Format string `json:"format"`
		Base64 string `json:"base64_data"`
	}
	if json.Unmarshal(e.Result, &image) != nil || image.Type != "image" {
		return "", nil, false
	}
	data, err := base64.StdEncoding.DecodeString(image.Base64)
	return image.Format, data, err == nil
}

// executionBody is an execution's wire form, as far as it is used. Beside it
// stand "$id" keys, and whatever else a version adds.
type executionBody struct {
	ID     string          `json:"id"`
	Status string          `json:"status"`
	Error  json.RawMessage `json:"error"`
	Result struct {
		Stdout string          `json:"stdout"`
		Stderr string          `json:"stderr"`
		Value  json.RawMessage `json:"executionResult"`
		Millis float64         `json:"executionTimeInMilliseconds"`
	} `json:"result"`
}

// decodeExecution reads the answer to an execute whose streams were limited to
// maxChars characters. Its error is an [*Error] of kind [ErrProtocol].
func decodeExecution(body []byte, maxChars int) (*Execution, error) {
	var b executionBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, &Error{kind: ErrProtocol, MayHaveRun: true, cause: err}
	}
	e := &Execution{
		ID:       b.ID,
		Stdout:   b.Result.Stdout,
		Stderr:   b.Result.Stderr,
		Result:   b.Result.Value,
		Duration: time.Duration(min(max(b.Result.Millis, 0), 1e9) * float64(time.Millisecond)),
	}
	e.Truncated = utf8.RuneCountInString(e.Stdout) >= maxChars || utf8.RuneCountInString(e.Stderr) >= maxChars
	switch strings.ToLower(b.Status) {
	case "succeeded", "success":
		e.Status = Succeeded
	case "failed", "failure":
		e.fail(b.Error)
	case "canceled":
		e.fail(b.Error)
		e.Failure = Aborted
	default:
		return nil, &Error{kind: ErrProtocol, MayHaveRun: true, Message: fmt.Sprintf("The execution's status is %.20q.", b.Status)}
	}
	return e, nil
}

// fail marks e as failed. The service tells the class of a failure by nothing
// but how stderr begins.
func (e *Execution) fail(reason json.RawMessage) {
	e.Status, e.Failure = Failed, Raised
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
