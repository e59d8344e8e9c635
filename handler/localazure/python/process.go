package python

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
)

// process is a worker process, as the engine sees it. One goroutine at a time
// sends orders and receives reports.
type process struct {
	stdin   io.WriteCloser
	reports chan report // closed after the last one
	kill    context.CancelFunc
	gone    chan struct{} // closed when the process has ended and complaint is set
	pid     int
	// complaint is what a process said on its stderr before it ended: its
	// own failure, nothing of the code's.
	complaint head
}

// startProcess starts a worker and waits until its interpreter is ready.
func (e *Engine) startProcess() (*process, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's executable: %w", err)
	}
	ctx, kill := context.WithCancel(e.alive)
	cmd := exec.CommandContext(ctx, executable)
	cmd.Args = []string{workerName}
	cmd.Env = []string{} // not nil, which would mean ours
	cmd.SysProcAttr = processAttributes()
	p := &process{reports: make(chan report), kill: kill, gone: make(chan struct{}), complaint: head{max: 8 << 10}}
	cmd.Stderr = &p.complaint
	if err := e.launch(ctx, cmd, p); err != nil {
		kill()
		return nil, fmt.Errorf("start a Python worker: %w", err)
	}
	if err := p.order(e.alive, order{Start: &e.settings}, func(r report) bool { return r.Ready }); err != nil {
		kill()
		return nil, fmt.Errorf("start a Python worker: %w", err)
	}
	return p, nil
}

// launch starts the command, with two goroutines that stay until it has ended.
func (e *Engine) launch(ctx context.Context, cmd *exec.Cmd, p *process) error {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	started := make(chan error, 1)
	e.running.Go(func() {
		defer close(p.gone)
		defer p.kill()
		// On Linux the worker is killed when the thread that started it ends,
		// so this goroutine keeps the thread to itself.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			e.attend(ctx, cmd, p, stdout)
		}
	})
	return <-started
}

// attend reads the worker's reports until it ends.
func (e *Engine) attend(ctx context.Context, cmd *exec.Cmd, p *process, stdout io.Reader) {
	e.log.Debug("Python worker started", "pid", p.pid)
	reading := make(chan struct{})
	e.running.Go(func() {
		defer close(reading)
		p.receive(ctx, stdout)
	})
	<-reading // Wait must come after the last read
	err := cmd.Wait()
	e.log.Debug("Python worker ended", "pid", p.pid, "cause", err, "said", p.complaint.String())
}

// receive passes on what the worker reports, to its end. A worker that sends
// something else is no longer what we started, and is killed.
func (p *process) receive(ctx context.Context, stdout io.Reader) {
	defer close(p.reports)
	incoming := newFrames(stdout)
	for {
		var r report
		if err := incoming.next(&r); err != nil {
			p.kill()
			return
		}
		select {
		case p.reports <- r:
		case <-ctx.Done():
			return
		}
	}
}

// order sends o and waits for the report that answers it.
func (p *process) order(ctx context.Context, o order, answers func(report) bool) error {
	if err := writeFrame(p.stdin, o); err != nil {
		return errors.Join(err, p.failure())
	}
	for {
		select {
		case r, ok := <-p.reports:
			if !ok {
				return p.failure()
			}
			if answers(r) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// failure waits until the process is gone and returns what it complained of.
func (p *process) failure() error {
	p.kill()
	<-p.gone
	return fmt.Errorf("the worker ended: %s", p.complaint.String())
}

// head keeps the first max bytes that are written to it.
type head struct {
	max  int
	kept []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.max-len(h.kept))]...)
	return len(p), nil
}

func (h *head) String() string { return string(h.kept) }
