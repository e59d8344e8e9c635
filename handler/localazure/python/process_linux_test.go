package python

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
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
		if n, err := unix.Poll(events, 10_000); n != 1 {
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
	p, err := e.take(t.Context())
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
	p, err := e.take(t.Context())
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
