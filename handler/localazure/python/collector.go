package python

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// collector runs Go's garbage collector in a worker, and is the only one who
// may. A collection stops every goroutine, and the interpreter's machine code
// has no point where it can be stopped: begun while a cell computes, it would
// hang the whole process until the cell's end. So collections run only where
// the interpreter's goroutine is in Go: in a host call, or between cells.
//
// It is used from the interpreter's goroutine alone.
type collector struct {
	calls     int
	allocated uint64 // in all, at the last collection
}

const (
	collectAfter = 64 << 20 // bytes allocated since the last collection
	lookEvery    = 1024     // host calls from one look at the allocations to the next
)

// takeOver switches automatic collections off. GOMAXPROCS is set for its side
// effect: Go then no longer adapts it to the machine, which also stops every
// goroutine. Two are needed at least: the interpreter never yields its own.
func (c *collector) takeOver() {
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(max(2, runtime.NumCPU()))
	debug.FreeOSMemory() // collects too; starting has left much
	c.allocated = allocatedBytes()
}

// hostCall is to be called at each host call that allocates.
func (c *collector) hostCall() {
	if c.calls++; c.calls%lookEvery == 0 {
		c.collect()
	}
}

// collect runs a collection if it is time for one.
func (c *collector) collect() {
	if allocatedBytes()-c.allocated < collectAfter {
		return
	}
	runtime.GC()
	c.allocated = allocatedBytes()
}

func allocatedBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
