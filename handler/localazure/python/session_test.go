package python

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestValues(t *testing.T) {
	s := startSession(t)
	for code, want := range map[string]string{
		"1+1":                  "2",
		"None":                 "None",
		"print('x')":           "None",
		"'é' + chr(0x1F600)":   "'é😀'",
		"float('nan')":         "nan",
		"[1, {'a': (2,)}]":     "[1, {'a': (2,)}]",
		"'only a docstring'":   "'only a docstring'",
		"x = 1\nx + 1":         "2",
		"__name__":             "'__main__'",
		"import sys; sys.argv": "['-c']",
		"chr(0xD800)":          `'\ud800'`,
		"class C:\n  def __repr__(self): return 'a\\ud800b'\nC()": "a\uFFFDb",
	} {
		if got := value(t, s, code); got != want {
			t.Errorf("%q is %s, want %s", code, got, want)
		}
	}
	for _, code := range []string{"", "x = 1", "pass", "# nothing", "def f(): return 1", "if True:\n  1"} {
		if o := run(t, s, code); o.Ending != Completed || o.Value != nil {
			t.Errorf("%q ended as %s with value %v, want completed with none", code, o.Ending, o.Value)
		}
	}
	for _, code := range []string{"'x' * 10**6", "'é' * 10**6", "[1] * 10**6"} {
		if got := value(t, s, code); len(got) > maxValue || len(got) < maxValue-4 {
			t.Errorf("%q has a value of %d bytes, want cut at %d", code, len(got), maxValue)
		}
	}
}

func TestStateIsKept(t *testing.T) {
	s := startSession(t)
	run(t, s, "import math\ndef area(r): return round(math.pi * r * r, 2)")
	run(t, s, "r = 2")
	if got := value(t, s, "area(r)"); got != "12.57" {
		t.Errorf("area(r) is %s, want 12.57", got)
	}
	if got := value(t, s, "_ * 2"); got != "25.14" {
		t.Errorf("_ * 2 is %s, want 25.14: _ is the last value", got)
	}
	run(t, s, "import os; os.mkdir('sub'); os.chdir('sub')")
	if got := value(t, s, "os.getcwd()"); got != "'/mnt/data/sub'" {
		t.Errorf("the current directory is %s, want the one changed to", got)
	}
	run(t, s, "import dataclasses, pickle\n@dataclasses.dataclass\nclass P:\n  x: int")
	if got := value(t, s, "pickle.loads(pickle.dumps(P(3)))"); got != "P(x=3)" {
		t.Errorf("a pickled class of the session gives %s", got)
	}
}

func TestStreamsAreApart(t *testing.T) {
	s := startSession(t)
	o := run(t, s, "import sys\nprint('out é')\nprint('err', file=sys.stderr)\nsys.stdout.write('no newline')")
	if o.Stdout != "out é\nno newline" || o.Stderr != "err\n" {
		t.Errorf("stdout %q, stderr %q", o.Stdout, o.Stderr)
	}
	o = run(t, s, "import os\n_ = os.write(1, b'\\xff\\xfe')")
	if o.Stdout != "\uFFFD\uFFFD" && o.Stdout != "\uFFFD" {
		t.Errorf("bytes that are no text give %q, want replacement characters", o.Stdout)
	}
	run(t, s, "sys.stdout.close(); sys.stderr = None")
	if o := run(t, s, "print('again'); print('and', file=sys.stderr)"); o.Stdout != "again\n" || o.Stderr != "and\n" {
		t.Errorf("after a cell closed the streams: stdout %q, stderr %q", o.Stdout, o.Stderr)
	}
}

func TestOutputIsCapped(t *testing.T) {
	s := startSession(t)
	o := run(t, s, "for i in range(20000): print('0123456789')\nimport sys; sys.stderr.write('é' * 10**6); 1/0")
	if len(o.Stdout) != 4096 {
		t.Errorf("%d bytes of stdout, want 4096", len(o.Stdout))
	}
	if len(o.Stderr) > 4096 || !strings.HasPrefix(o.Stderr, "éé") || !strings.HasSuffix(o.Stderr, "ZeroDivisionError: division by zero\n") {
		t.Errorf("%d bytes of stderr that end in %q, want at most 4096 and the traceback", len(o.Stderr), o.Stderr[max(0, len(o.Stderr)-60):])
	}
	if got := value(t, s, "1+1"); got != "2" {
		t.Errorf("then 1+1 is %s", got)
	}
}

func TestTracebacks(t *testing.T) {
	s := startSession(t)
	run(t, s, "def f(x):\n    return 1 / x")
	for code, want := range map[string]string{
		"f(0)": `Traceback (most recent call last):
  File "<cell 2>", line 1, in <module>
    f(0)
  File "<cell 1>", line 2, in f
    return 1 / x
           ~~^~~
ZeroDivisionError: division by zero
`,
		"import sys; sys.exit(3)":  "SystemExit: 3\n",
		"exit()":                   "SystemExit\n",
		"input('?')":               "EOFError: EOF when reading a line\n",
		"1 +":                      "SyntaxError: invalid syntax\n",
		"def g(): return g()\ng()": "RecursionError: maximum recursion depth exceeded\n",
		"raise KeyboardInterrupt":  "KeyboardInterrupt\n",
		"class E(Exception):\n  def __str__(self): 1/0\nraise E": "E: <exception str() failed>\n",
		"await nothing": "NameError: name 'nothing' is not defined\n",
	} {
		s.cells = 1 // so that the numbers do not depend on the order
		o := run(t, s, code)
		if o.Ending != Raised || !strings.HasSuffix(o.Stderr, want) || strings.Contains(o.Stderr, "<string>") {
			t.Errorf("%q ended as %s with\n%swant raised with\n%s", code, o.Ending, o.Stderr, want)
		}
	}
	if got := value(t, s, "f(1)"); got != "1.0" {
		t.Errorf("after all that f(1) is %s", got)
	}
}

func TestTimeoutInterrupts(t *testing.T) {
	s := startSession(t)
	run(t, s, "kept = 42\nimport time, re, asyncio")
	for _, code := range []string{
		"while True: pass",
		"print('before', flush=True)\ntime.sleep(30)",
		"9**9**9",
		"re.match('(a+)+$', 'a' * 40 + 'b')",
		"await asyncio.sleep(30)",
		"asyncio.run(asyncio.sleep(30))",
		"try:\n  time.sleep(30)\nfinally:\n  time.sleep(30)",
	} {
		o := runFor(t, s, code, 200*time.Millisecond)
		if o.Ending != Interrupted || !strings.HasSuffix(o.Stderr, "KeyboardInterrupt\n") {
			t.Errorf("%q ended as %s with %q, want interrupted", code, o.Ending, o.Stderr)
		}
		if strings.Contains(code, "before") && o.Stdout != "before\n" {
			t.Errorf("%q printed %q, want what came before the interrupt", code, o.Stdout)
		}
		if got := value(t, s, "kept"); got != "42" {
			t.Errorf("after %q the variable is %s, want 42", code, got)
		}
	}
	begun := time.Now()
	if o := run(t, s, "time.sleep(0.2)\nawait asyncio.sleep(0.1)"); o.Ending != Completed || time.Since(begun) < 300*time.Millisecond {
		t.Errorf("two sleeps ended as %s after %v with %q, want completed after 300ms", o.Ending, time.Since(begun), o.Stderr)
	}
}

func TestTimeoutKillsWhatDoesNotYield(t *testing.T) {
	s := startSession(t)
	run(t, s, "precious = 1\nopen('kept.txt', 'w').write('kept')")
	o := runFor(t, s, "print('before')\nsum(range(10**12))", 200*time.Millisecond)
	if o.Ending != Killed || o.Stdout != "before\n" || o.Duration > 5*time.Second {
		t.Errorf("an endless sum ended as %s after %v, having printed %q; want killed", o.Ending, o.Duration, o.Stdout)
	}
	if o := run(t, s, "precious"); o.Ending != Raised || !strings.HasSuffix(o.Stderr, "NameError: name 'precious' is not defined\n") {
		t.Errorf("then a variable ended as %s with %q, want it lost", o.Ending, o.Stderr)
	}
	if got := value(t, s, "open('kept.txt').read()"); got != "'kept'" {
		t.Errorf("then the file holds %s, want it kept", got)
	}
	swallow := "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
	if o := runFor(t, s, swallow, 200*time.Millisecond); o.Ending != Killed {
		t.Errorf("code that ignores interrupts ended as %s, want killed", o.Ending)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := startIn(t, openEngine(t, Config{MemoryLimit: 64 << 20}), t.TempDir())
	run(t, s, "kept = 42")
	for _, code := range []string{"'x' * 10**9", "[0] * 10**8", "bytearray(10**9)", "big = []\nwhile True: big.append(bytearray(10**6))"} {
		o := run(t, s, code)
		if o.Ending != Raised || !strings.Contains(o.Stderr, "MemoryError") {
			t.Errorf("%q ended as %s with %q, want MemoryError", code, o.Ending, o.Stderr)
		}
		if got := value(t, s, "big = None; kept"); got != "42" {
			t.Errorf("after %q the variable is %s, want 42", code, got)
		}
	}
}

func TestCrashes(t *testing.T) {
	s := startSession(t)
	for _, code := range []string{"import os; os._exit(3)", "import os; os.abort()", "import os\nfor fd in range(3, 5000):\n  try: os.close(fd)\n  except OSError: pass"} {
		if o := run(t, s, "print('before', flush=True)\n"+code); o.Ending != Crashed || o.Stdout != "before\n" {
			t.Errorf("%q ended as %s, having printed %q; want crashed", code, o.Ending, o.Stdout)
		}
		if got := value(t, s, "1+1"); got != "2" {
			t.Errorf("after %q 1+1 is %s", code, got)
		}
	}
}

func TestAsyncio(t *testing.T) {
	s := startSession(t)
	for _, c := range []struct{ code, want string }{
		{"import asyncio\nasync def f(n):\n  await asyncio.sleep(n / 100)\n  return n\nasyncio.run(f(1))", "1"},
		{"await f(2)", "2"},
		{"await asyncio.gather(f(3), f(1), f(2))", "[3, 1, 2]"},
		{"x = await f(5)\nx + 1", "6"},
		{"[await f(i) for i in range(3)]", "[0, 1, 2]"},
		{"queue = asyncio.Queue()\nasync def feed():\n  await queue.put(7)\ntask = None\nasync def begin():\n  global task\n  task = asyncio.create_task(feed())\nawait begin()", "None"},
		{"await queue.get()", "7"},
	} {
		if got := value(t, s, c.code); got != c.want {
			t.Errorf("%q is %s, want %s", c.code, got, c.want)
		}
	}
	o := run(t, s, "async def late():\n  try:\n    await asyncio.wait_for(asyncio.sleep(30), 0.05)\n  except asyncio.TimeoutError:\n    return 'late'\nawait late()")
	if o.Value == nil || *o.Value != "'late'" {
		t.Errorf("wait_for ended as %s with %q", o.Ending, o.Stderr)
	}
}

func TestCancelReturnsAtOnce(t *testing.T) {
	s := startSession(t)
	run(t, s, "kept = 42")
	for _, code := range []string{"while True: pass", "import time; time.sleep(60)", "sum(range(10**12))"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begun := time.Now()
		_, err := s.Run(ctx, Request{Code: code, Timeout: time.Minute, MaxStreamBytes: 4096})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > time.Second {
			t.Errorf("%q: error %v after %v, want the context's at once", code, err, time.Since(begun))
		}
		if strings.HasPrefix(code, "sum") {
			continue // does not yield, so its worker is killed
		}
		if got := value(t, s, "kept"); got != "42" {
			t.Errorf("after %q was canceled the variable is %s, want 42", code, got)
		}
	}
	if got := value(t, s, "1+1"); got != "2" {
		t.Errorf("after all that 1+1 is %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, Request{Code: "kept = 1", Timeout: time.Second}); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that is canceled already: error %v", err)
	}
}

func TestParallelSessions(t *testing.T) {
	e := openEngine(t, Config{})
	var all sync.WaitGroup
	for n := range 3 {
		all.Go(func() {
			s, err := e.Start(t.Context(), t.TempDir())
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				o, err := s.Run(t.Context(), Request{Code: fmt.Sprintf("import os; open('%d', 'w'); n = %d; (n, os.listdir())", n, n), Timeout: time.Minute})
				if want := fmt.Sprintf("(%d, ['%d'])", n, n); err != nil || o.Value == nil || *o.Value != want {
					t.Errorf("session %d: %+v, %v, want %s", n, o, err, want)
				}
			}
		})
	}
	all.Wait()
}

func TestRunsOfASessionWaitForEachOther(t *testing.T) {
	s := startSession(t)
	run(t, s, "n = 0")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := s.Run(t.Context(), Request{Code: "m = n\nfor i in range(10000): pass\nn = m + 1", Timeout: time.Minute})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := value(t, s, "n"); got != "8" {
		t.Errorf("after 8 runs n is %s", got)
	}
}

func TestClose(t *testing.T) {
	e := openEngine(t, Config{})
	s, other := startIn(t, e, t.TempDir()), startIn(t, e, t.TempDir())
	results := make(chan error)
	go func() {
		_, err := s.Run(context.Background(), Request{Code: "sum(range(10**12))", Timeout: time.Hour})
		results <- err
	}()
	for len(s.turn) == 0 {
		run(t, other, "1") // until the run has begun
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-results; !errors.Is(err, ErrClosed) {
		t.Errorf("the run that was going on: error %v, want %v", err, ErrClosed)
	}
	if _, err := s.Run(t.Context(), Request{Code: "1", Timeout: time.Second}); !errors.Is(err, ErrClosed) {
		t.Errorf("a run after Close: error %v, want %v", err, ErrClosed)
	}
	if got := value(t, other, "1+1"); got != "2" {
		t.Errorf("in the other session 1+1 is %s", got)
	}
	if err := errors.Join(e.Close(), s.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if _, err := e.Start(t.Context(), t.TempDir()); !errors.Is(err, ErrClosed) {
		t.Errorf("a start after Close: error %v, want %v", err, ErrClosed)
	}
}

func TestStartInMissingDirectory(t *testing.T) {
	e := openEngine(t, Config{})
	_, err := e.Start(t.Context(), filepath.Join(t.TempDir(), "missing"))
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("error %v, want one that names the directory", err)
	}
}

func TestTooMuchCode(t *testing.T) {
	s := startSession(t)
	if _, err := s.Run(t.Context(), Request{Code: strings.Repeat("#", maxCode+1), Timeout: time.Second}); err == nil {
		t.Error("no error for more code than fits")
	}
	if o := run(t, s, strings.Repeat("\x01", 100)+strings.Repeat("#\n", maxCode/2-100)); o.Ending != Raised {
		t.Errorf("as much code as fits ended as %s", o.Ending)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, limit := range []int64{1, minMemory - 1, maxMemory + 1, -1} {
		if _, err := Open(t.Context(), Config{CacheDir: t.TempDir(), MemoryLimit: limit}); err == nil {
			t.Errorf("no error for a memory limit of %d bytes", limit)
		}
	}
}
