package localazure

import (
	"encoding/json"
	"fmt"
	"time"

	"keyless/handler/localazure/python"
)

// poolExecution is an execution of a session. It is changed with the pool's
// mutex held.
type poolExecution struct {
	id         string
	identifier string
	request    *poolRequest
	status     string          // as the versions from 2024-10-02-preview say it
	timeouts   int             // how many executions of the session had timed out when this one came
	ahead      <-chan struct{} // closed when the execution that came before is done
	done       chan struct{}   // closed when this one is

	// Of one that has ended, one of these is set, unless it was canceled.
	result *poolResult
	err    error
}

const (
	notStarted = "NotStarted"
	running    = "Running"
	succeeded  = "Succeeded"
	failed     = "Failed"
	canceled   = "Canceled"
)

// pending reports whether the execution has not ended.
func (x *poolExecution) pending() bool { return x.status == notStarted || x.status == running }

// poolResult is what came of code that was run.
type poolResult struct {
	stdout, stderr string
	value          json.RawMessage
	millis         int
}

// conclude records how the execution ended. Streams are cut without a mark.
func (x *poolExecution) conclude(o python.Outcome) {
	status, stderr := settle(o, x.request.timeout)
	x.status = status
	x.result = &poolResult{cut(o.Stdout, x.request.maxChars), cut(stderr, x.request.maxChars), encodeValue(o), int(o.Duration.Milliseconds())}
}

// answer returns the execution as the version says it.
func (x *poolExecution) answer(v poolVersion, ids *poolIDs) any {
	if v.nested {
		return x.nested(ids)
	}
	return x.flat(ids)
}

// flat returns the execution in the shape from 2024-10-02-preview on. One that
// has not ended has no result.
func (x *poolExecution) flat(ids *poolIDs) any {
	type result struct {
		Ref    string          `json:"$id,omitempty"`
		Stdout string          `json:"stdout"`
		Stderr string          `json:"stderr"`
		Value  json.RawMessage `json:"executionResult"`
		Millis int             `json:"executionTimeInMilliseconds"`
	}
	type execution struct {
		Ref           string  `json:"$id,omitempty"`
		ID            string  `json:"id"`
		Identifier    string  `json:"identifier"`
		ExecutionType string  `json:"executionType"`
		Status        string  `json:"status"`
		Error         any     `json:"error,omitempty"`
		Result        *result `json:"result,omitempty"`
	}
	e := execution{Ref: ids.next(), ID: x.id, Identifier: x.identifier, ExecutionType: "Synchronous", Status: x.status}
	if x.request.async {
		e.ExecutionType = "Asynchronous"
	}
	if x.err != nil { // the specification nests the error twice
		e.Error = map[string]any{"error": map[string]string{"code": "InternalServerError", "message": x.err.Error()}}
	}
	if r := x.result; r != nil {
		e.Result = &result{ids.next(), r.stdout, r.stderr, r.value, r.millis}
	}
	return e
}

// nested returns the execution, which has a result, in the older shape.
func (x *poolExecution) nested(ids *poolIDs) any {
	type properties struct {
		Ref    string          `json:"$id,omitempty"`
		Status string          `json:"status"`
		Stdout string          `json:"stdout"`
		Stderr string          `json:"stderr"`
		Value  json.RawMessage `json:"result"`
		Millis int             `json:"executionTimeInMilliseconds"`
	}
	status := "Success"
	if x.status != succeeded {
		status = "Failure"
	}
	r := x.result
	return struct {
		Ref        string     `json:"$id,omitempty"`
		Properties properties `json:"properties"`
	}{ids.next(), properties{ids.next(), status, r.stdout, r.stderr, r.value, r.millis}}
}

// settle says an outcome in the service's words.
func settle(o python.Outcome, limit time.Duration) (status, stderr string) {
	switch o.Ending {
	case python.Completed:
		return succeeded, o.Stderr
	case python.Interrupted:
		return failed, fmt.Sprintf("Request timed out waiting for code execution to complete after %d seconds\n%s", limit/time.Second, o.Stderr)
	case python.Killed, python.Crashed:
		return failed, "Kernel restarted\n" + o.Stderr
	case aborted:
		return failed, "Execution aborted"
	}
	return failed, o.Stderr
}

// aborted is the ending of code that waited behind an execution that timed
// out: Jupyter drops what is queued then, and so it does not run at all.
const aborted python.Ending = "aborted"

// encodeValue returns the result for the repr of the last expression: "" for
// no value, null for None, the repr as it is where it happens to be JSON, as
// for numbers, and else the repr as a string: "'x'" for the str x, "nan" for
// the float. The rule is drawn from the examples of the API's specification.
//
// They have null for "a = None;a"; but print("x"), which is None too, was seen
// to give "". What tells them apart is not known. Here it is that something
// was printed.
func encodeValue(o python.Outcome) json.RawMessage {
	repr := o.Value
	switch {
	case repr == nil, *repr == "None" && o.Stdout != "":
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
