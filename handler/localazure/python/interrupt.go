package python

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// interrupter makes running Python code raise KeyboardInterrupt.
//
// WebAssembly code cannot be stopped from outside without being lost. But
// CPython looks now and then whether a signal has come, in a few words of its
// own memory; writing them from here is what _thread.interrupt_main() does
// from inside. Where they are depends on the build, so they are looked for at
// each start (see calibrate in driver.py): the words that go from 0 to 1
// whenever the driver calls interrupt_main.
type interrupter struct {
	before     []byte   // memory ahead of a call of interrupt_main
	candidates []uint32 // addresses found by all calls so far; nil before the first

	mu    sync.Mutex
	words [][]byte // the words, within the interpreter's memory
	cell  int      // the number of the cell that runs; 0: none
	// stop ends what the running cell waits for; nil while none runs.
	stop chan struct{}
}

const (
	maxWords   = 16 // more candidates than this mean that the search went wrong
	pokePeriod = 20 * time.Millisecond
)

// picture is called with the interpreter's memory by turns before and after a
// call of interrupt_main.
func (i *interrupter) picture(memory []byte) {
	if i.before == nil {
		i.before = bytes.Clone(memory)
		return
	}
	found := raisedWords(i.before, memory)
	i.before = nil
	if i.candidates == nil {
		i.candidates = found
		return
	}
	i.candidates = slices.DeleteFunc(i.candidates, func(address uint32) bool { return !slices.Contains(found, address) })
}

// settle ends the search and reports whether it found the words. memory must
// stay where it is as long as the interpreter lives.
func (i *interrupter) settle(memory []byte) bool {
	if len(i.candidates) == 0 || len(i.candidates) > maxWords {
		return false
	}
	for _, address := range i.candidates {
		i.words = append(i.words, memory[address:address+4])
	}
	return true
}

// raisedWords returns the addresses of the aligned words that were 0 in
// before and are 1 in after, in order.
func raisedWords(before, after []byte) []uint32 {
	const block = 4096
	found := []uint32{}
	for start := 0; start+block <= min(len(before), len(after)); start += block {
		if bytes.Equal(before[start:start+block], after[start:start+block]) {
			continue
		}
		for at := start; at < start+block; at += 4 {
			if binary.LittleEndian.Uint32(before[at:]) == 0 && binary.LittleEndian.Uint32(after[at:]) == 1 {
				found = append(found, uint32(at))
			}
		}
	}
	return found
}

// begin marks the cell as running.
func (i *interrupter) begin(cell int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.cell, i.stop = cell, make(chan struct{})
}

// end marks that no cell runs.
func (i *interrupter) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.cell, i.stop = 0, nil
}

// stopped is closed once the running cell is to stop. It is nil while none
// runs.
func (i *interrupter) stopped() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.stop
}

// interrupt interrupts the cell, and goes on doing so until it has ended:
// code may swallow one KeyboardInterrupt.
func (i *interrupter) interrupt(cell int) {
	ticker := time.NewTicker(pokePeriod)
	defer ticker.Stop()
	for i.poke(cell) {
		<-ticker.C
	}
}

// poke interrupts the cell once and reports whether it still ran.
func (i *interrupter) poke(cell int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cell != cell {
		return false
	}
	select {
	case <-i.stop:
	default:
		close(i.stop)
	}
	for _, word := range i.words {
		binary.LittleEndian.PutUint32(word, 1)
	}
	return true
}

// wait waits until d has passed, the running cell is to stop, or ctx ends.
func (i *interrupter) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-i.stopped():
	case <-ctx.Done():
	}
}
