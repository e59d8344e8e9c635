package python

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tetratelabs/wazero/api"
)

// workerName is the only argument of a worker process.
const workerName = "keyless-python-worker"

// WorkerMain is the main function of a worker process. In any other process
// it returns at once. A program that opens an [Engine] calls it first in its
// main, and its tests in TestMain: the engine starts the program's own
// executable again.
func WorkerMain() {
	if !isWorker() {
		return
	}
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func isWorker() bool { return len(os.Args) == 1 && os.Args[0] == workerName }

// worker is what a worker process consists of: the interpreter runs in the
// main goroutine, and all methods but listen are called from there, out of
// the interpreter's host calls.
type worker struct {
	engine      io.Writer
	cells       chan cell
	interrupter interrupter
	collector   collector
	data        *dataFS
	module      api.Module
	ready       bool
	running     int     // number of the cell that runs; 0: none
	held        *report // how it ended, as the driver says
	stdout      stream
	stderr      stream
}

// serve runs one interpreter to its end, which is always an error.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders := newFrames(in)
	var first order
	if err := orders.next(&first); err != nil || first.Start == nil {
		return errors.Join(errors.New("the first order must be to start"), err)
	}
	w := &worker{engine: out, cells: make(chan cell, 1)}
	w.data = newDataFS(first.Start.MaxBytes, first.Start.MaxFiles, &w.collector)
	w.stdout = stream{worker: w, wrap: func(p []byte) report { return report{Stdout: p} }}
	w.stderr = stream{worker: w, wrap: func(p []byte) report { return report{Stderr: p} }}
	go w.listen(orders)
	var err error
	w.module, err = newInterpreter(ctx, *first.Start, surroundings{
		stdout:  &w.stdout,
		stderr:  &w.stderr,
		control: &control{receive: w.nextCell, send: w.fromDriver},
		data:    w.data,
		poller:  newPoller(&w.interrupter),
	})
	if err != nil {
		return err
	}
	_, err = w.module.ExportedFunction("_start").Call(ctx)
	return fmt.Errorf("the interpreter has ended: %w", err)
}

// listen obeys the engine's orders. When they end, the engine's process has:
// so does this one, whatever the interpreter does.
func (w *worker) listen(orders frames) {
	for {
		var o order
		if err := orders.next(&o); err != nil {
			os.Exit(1)
		}
		switch {
		case o.Open != "":
			if err := w.open(o.Open); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		case o.Run != nil:
			w.cells <- *o.Run
		case o.Interrupt != 0:
			go w.interrupter.interrupt(o.Interrupt)
		}
	}
}

// open shows dir as /mnt/data. No cell runs yet.
func (w *worker) open(dir string) error {
	if err := w.data.open(dir); err != nil {
		return err
	}
	return writeFrame(w.engine, report{Opened: true})
}

// nextCell waits for the next cell and returns it as a frame for the driver.
//
// Only here, where the driver waits, is the end of the cell before reported.
// Any code can write such a report to the driver's file; it cannot run on
// behind it, beyond its time limit, for that nobody would notice.
func (w *worker) nextCell() ([]byte, error) {
	if w.running != 0 && w.held == nil {
		return nil, errors.New("a cell runs: this is its code that reads, not the driver")
	}
	if w.held != nil {
		w.interrupter.end()
		if err := writeFrame(w.engine, w.held); err != nil {
			return nil, err
		}
	}
	w.collector.collect()
	next := <-w.cells
	w.running, w.held = next.Number, nil
	w.stdout.left, w.stderr.left = next.MaxStreamBytes, next.MaxStreamBytes
	w.data.forget()
	w.interrupter.begin(next.Number)
	line, err := json.Marshal(next)
	return append(line, '\n'), err
}

// fromDriver handles what the driver, or somebody who found its file, says.
func (w *worker) fromDriver(r report) error {
	w.collector.collect() // each report may have been a large one
	switch {
	case r.Picture && !w.ready:
		w.interrupter.picture(w.memory())
	case r.Ready && !w.ready:
		if !w.interrupter.settle(w.memory()) {
			return errors.New("this build of Python keeps its signals in an unknown way")
		}
		w.collector.takeOver()
		w.ready = true
		return writeFrame(w.engine, r)
	case r.Done != nil && r.Done.Cell == w.running:
		w.held = &r
	}
	return nil
}

// memory is the interpreter's whole memory.
func (w *worker) memory() []byte {
	all, _ := w.module.Memory().Read(0, w.module.Memory().Size())
	return all
}

// maxPiece bounds one report of output, in bytes.
const maxPiece = 32 << 10

// stream passes on the first bytes of what a cell prints, and drops the rest.
// What the interpreter says before it is ready is a complaint of the worker's.
type stream struct {
	worker *worker
	wrap   func([]byte) report
	left   int // bytes
}

func (s *stream) Write(p []byte) (int, error) {
	if !s.worker.ready {
		return os.Stderr.Write(p)
	}
	s.worker.collector.hostCall()
	kept := p[:min(len(p), s.left)]
	s.left -= len(kept)
	for len(kept) > 0 {
		piece := kept[:min(len(kept), maxPiece)]
		kept = kept[len(piece):]
		if err := writeFrame(s.worker.engine, s.wrap(piece)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
