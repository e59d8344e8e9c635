package python

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// parentVariable makes the test binary play a program with a busy session.
const parentVariable = "KEYLESS_TEST_PYTHON_PARENT"

// playParent starts an engine whose session computes, and has its log, which
// names the workers, on stdout.
func playParent() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := Open(context.Background(), Config{CacheDir: sharedCache, Log: log})
	if err != nil {
		panic(err)
	}
	s, err := e.Start(context.Background(), os.TempDir())
	if err != nil {
		panic(err)
	}
	_, err = s.Run(context.Background(), Request{Code: "sum(range(10**12))", Timeout: time.Hour})
	panic(fmt.Sprint("the session has ended: ", err))
}

func TestWorkersDieWithTheirParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"=1")
	stdout, err := parent.StdoutPipe()
	must(t, err, parent.Start())
	defer func() { _ = parent.Wait() }()
	defer func() { _ = parent.Process.Kill() }()
	var workers []int // pidfds
	for lines := bufio.NewScanner(stdout); len(workers) < 2 && lines.Scan(); {
		var line struct{ PID int }
		must(t, json.Unmarshal(lines.Bytes(), &line))
		fd, err := unix.PidfdOpen(line.PID, 0)
		must(t, err)
		defer unix.Close(fd)
		workers = append(workers, fd)
	}
	if len(workers) != 2 {
		t.Fatalf("the parent started %d workers, want the session's and a spare one", len(workers))
	}
	must(t, parent.Process.Kill())
	for _, fd := range workers {
		events := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(events, 10_000)
		for err == unix.EINTR {
			n, err = unix.Poll(events, 10_000)
		}
		if n != 1 {
			t.Errorf("a worker still lives (%v)", err)
		}
	}
}

func TestWorkersInheritNothing(t *testing.T) {
	t.Setenv("KEYLESS_TEST_SECRET", "secret")
	secret, err := os.Open("/etc/passwd")
	must(t, err)
	defer secret.Close()
	e := openEngine(t, Config{})
	p, err := e.supply.take(t.Context())
	must(t, err)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
	if err != nil || len(environ) != 0 {
		t.Errorf("a worker's environment has %d bytes (%v), want none", len(environ), err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	must(t, err)
	for _, file := range files {
		if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.pid, file.Name())); strings.HasPrefix(target, "/etc") {
			t.Errorf("a worker has %s open", target)
		}
	}
	if group, err := unix.Getpgid(p.pid); group != p.pid {
		t.Errorf("a worker is in process group %d (%v), want its own, %d", group, err, p.pid)
	}
	p.kill()
}

func TestSpareThatDiesIsReplaced(t *testing.T) {
	e := openEngine(t, Config{})
	p, err := e.supply.take(t.Context())
	must(t, err)
	must(t, unix.Kill(p.pid, unix.SIGKILL))
	<-p.gone
	s := startIn(t, e, t.TempDir())
	must(t, unix.Kill(s.process.pid, unix.SIGKILL))
	<-s.process.gone
	o := run(t, s, "1+1")
	if o.Ending != Crashed {
		t.Errorf("a run whose worker is gone ended as %s, want crashed", o.Ending)
	}
	if got := value(t, s, "1+1"); got != "2" {
		t.Errorf("then 1+1 is %s", got)
	}
}

// TestWorkerMemoryIsBounded has code make the worker itself, not Python,
// allocate.
func TestWorkerMemoryIsBounded(t *testing.T) {
	const pythons, limit = 64 << 20, 512 << 20
	s := startIn(t, openEngine(t, Config{MemoryLimit: pythons}), t.TempDir())
	run(t, s, find)
	for _, c := range []struct {
		code string
		last time.Duration
	}{
		{`x = b'{"stdout":"' + b'eHh4' * 200_000 + b'"}'` + "\nfd = control(); assert fd\nwhile True: os.write(fd, x)", 2 * time.Second},
		{`x = b'{"done":{"cell":%d,"value":"' % cell() + b'x' * 10**6 + b'"}}'` + "\nfd = control(); assert fd\nwhile True: os.write(fd, x)", 2 * time.Second},
		{"x = bytes(10**7)\nwhile True: os.write(1, x)", 300 * time.Millisecond},
		{"while True: os.write(1, b'x')", 300 * time.Millisecond},
		{"with open('f', 'wb') as f: f.write(bytes(10**7))\nwhile True: open('f', 'rb').read()", 300 * time.Millisecond},
		{"while True: os.stat('f')", 300 * time.Millisecond},
		{"while True: os.listdir()", 300 * time.Millisecond},
		{"keep = []\nwhile True: keep.append(os.scandir()); next(keep[-1])", 300 * time.Millisecond},
		{"import select\nwhile True: select.select(range(3), [], [], 0)", 300 * time.Millisecond},
	} {
		o := runFor(t, s, c.code, c.last)
		if s.process == nil {
			t.Fatalf("%q ended as %s", c.code, o.Ending)
		}
		if peak := peakMemory(t, s.process.pid); peak > limit {
			t.Errorf("after %q the worker has taken %d MiB", c.code, peak>>20)
		}
	}
	t.Logf("at most %d MiB", peakMemory(t, s.process.pid)>>20)
}

// peakMemory returns the most memory a process has had, in bytes.
func peakMemory(t *testing.T, pid int) (peak int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(after, &peak)
	must(t, err)
	return peak << 10 // the kernel says kB
}

func TestPlantedPipesAreRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	s := startIn(t, openEngine(t, Config{}), dir)
	for _, code := range []string{"open('pipe')", "open('pipe', 'w')", "import os; os.open('pipe', os.O_RDWR | os.O_NONBLOCK)"} {
		refused(t, s, code)
	}
}
