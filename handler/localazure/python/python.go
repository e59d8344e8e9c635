// Package python runs Python code for the local session pool: CPython compiled
// to WebAssembly, under wazero, one worker process a session.
//
// The session pool stand-in (package localazure) opens one [Engine], starts a
// [Session] for each identifier and runs code in it; variables last as long as
// the session, files in its directory longer.
//
// The flow of a run: [Session.Run] (session.go) sends the code to the
// session's worker process (process.go, execution.go); the worker (worker.go)
// hands it through the control file (control.go) to the driver (driver.py),
// which is Python and runs it; output and outcome come back the same way. All
// hops speak JSON lines (protocol.go).
//
// The code is confined by WebAssembly: it can reach only what interpreter.go
// gives it, which is one directory (files.go), clocks and random numbers. A
// worker is a process of its own because running code can neither be stopped
// from outside nor be suspended by Go's garbage collector (interrupt.go,
// collector.go): in the end a worker can be killed, and takes nothing along.
//
// There are no threads, subprocesses or sockets, and nothing but Python's
// standard library. The code runs some ten times slower than in an ordinary
// Python.
package python

import "time"

// Request is one piece of code to run.
type Request struct {
	Code    string
	Timeout time.Duration // for the code alone; positive
	// MaxStreamBytes is how much of stdout and of stderr is kept; the rest is
	// read and dropped.
	MaxStreamBytes int
}

// Ending tells how a run ended.
type Ending string

const (
	Completed   Ending = "completed"   // ran to its end
	Raised      Ending = "raised"      // an exception reached the top; the traceback ends Stderr
	Interrupted Ending = "interrupted" // ran into Timeout and was interrupted; variables are kept
	Killed      Ending = "killed"      // ran into Timeout and did not yield; variables are lost, files are kept
	Crashed     Ending = "crashed"     // the interpreter itself died (a trap, os._exit); variables are lost, files are kept
)

// Outcome is what came of a run.
type Outcome struct {
	Ending   Ending
	Stdout   string
	Stderr   string
	Value    *string // repr of the last expression, cut at 64 KiB; nil if the code does not end in an expression. None is "None".
	Duration time.Duration
}

// Version is that of the Python that runs the code.
const Version = "3.12.0"
