package python

import (
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	WorkerMain()
	if os.Getenv(parentVariable) != "" {
		playParent()
	}
	os.Exit(m.Run())
}

// sharedCache keeps the compiled interpreter from one test run to the next:
// with the race detector on, compiling takes half a minute.
const sharedCache = "../../../.cache/python"

// openEngine returns an engine for one test.
func openEngine(t testing.TB, c Config) *Engine {
	t.Helper()
	if c.CacheDir == "" {
		c.CacheDir = sharedCache
	}
	if c.MemoryLimit == 0 {
		c.MemoryLimit = 64 << 20 // the race detector takes a multiple of it
	}
	c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := Open(t.Context(), c)
	if errors.Is(err, ErrNoPython) {
		t.Fatalf("the tests need the interpreter: run `make python` (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// startSession returns a session of an engine of its own, in a fresh
// directory.
func startSession(t testing.TB) *Session {
	t.Helper()
	return startIn(t, openEngine(t, Config{}), t.TempDir())
}

func startIn(t testing.TB, e *Engine, dir string) *Session {
	t.Helper()
	s, err := e.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run runs code with ten seconds and 4 KiB of output.
func run(t testing.TB, s *Session, code string) Outcome {
	t.Helper()
	return runFor(t, s, code, 10*time.Second)
}

func runFor(t testing.TB, s *Session, code string, timeout time.Duration) Outcome {
	t.Helper()
	o, err := s.Run(t.Context(), Request{Code: code, Timeout: timeout, MaxStreamBytes: 4096})
	if err != nil {
		t.Fatalf("run %q: %v", code, err)
	}
	return o
}

// value returns the value of code that must complete with one.
func value(t testing.TB, s *Session, code string) string {
	t.Helper()
	o := run(t, s, code)
	if o.Ending != Completed || o.Value == nil {
		t.Fatalf("%q ended as %s with %q, want completed with a value", code, o.Ending, o.Stderr)
	}
	return *o.Value
}
