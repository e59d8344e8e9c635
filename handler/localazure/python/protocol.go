package python

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// Engine and worker talk over the worker's stdin and stdout, worker and
// driver over the control file. All of it is frames: one JSON object on one
// line, of a bounded length.

const (
	maxFrame  = 16 << 20 // bytes; a frame beyond it ends the worker
	maxCode   = 2 << 20  // bytes; JSON needs up to six times as much
	maxReport = 1 << 20  // bytes, from the driver: 64 Ki characters, of which JSON needs up to twelve for each
)

// order is what the engine tells a worker. One field is set.
type order struct {
	Start     *settings `json:"start,omitempty"`     // the first order
	Open      string    `json:"open,omitempty"`      // show this directory as /mnt/data
	Run       *cell     `json:"run,omitempty"`       // run code
	Interrupt int       `json:"interrupt,omitempty"` // interrupt the cell with this number
}

// settings are what a worker is started with.
type settings struct {
	CacheDir    string `json:"cache_dir"`
	MemoryPages uint32 `json:"memory_pages"`
	MaxBytes    int64  `json:"max_bytes"`
	MaxFiles    int    `json:"max_files"`
}

// cell is one piece of code. Numbers count from 1 within a session and stand
// in tracebacks.
type cell struct {
	Number int    `json:"number"`
	Code   string `json:"code"`
	// MaxStreamBytes bounds what the worker passes on of each stream.
	MaxStreamBytes int `json:"max_stream_bytes,omitempty"`
}

// report is what a worker tells the engine, and the driver its worker. One
// field is set.
type report struct {
	Picture bool   `json:"picture,omitempty"` // driver only: look at the memory, see interrupter
	Ready   bool   `json:"ready,omitempty"`
	Opened  bool   `json:"opened,omitempty"`
	Stdout  []byte `json:"stdout,omitempty"` // a piece of what the code prints
	Stderr  []byte `json:"stderr,omitempty"`
	Done    *done  `json:"done,omitempty"`
}

// done tells that a cell has ended. A cell that raised has a traceback.
type done struct {
	Cell      int     `json:"cell"`
	Value     *string `json:"value,omitempty"`
	Traceback *string `json:"traceback,omitempty"`
}

// writeFrame writes v as one frame, in one write.
func writeFrame(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}

// frames reads frames off a stream.
type frames struct{ lines *bufio.Scanner }

func newFrames(r io.Reader) frames {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxFrame)
	return frames{lines}
}

// next reads one frame into v. At the stream's end the error is [io.EOF].
func (f frames) next(v any) error {
	if !f.lines.Scan() {
		if err := f.lines.Err(); err != nil {
			return fmt.Errorf("read a frame: %w", err)
		}
		return io.EOF
	}
	if err := json.Unmarshal(f.lines.Bytes(), v); err != nil {
		return fmt.Errorf("decode a frame: %w", err)
	}
	return nil
}
