package python

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// The layout of poll_oneoff's subscriptions and events is that of the witx
// files in the repository WebAssembly/WASI, tag snapshot-01.
const (
	subscriptionSize = 48
	eventSize        = 32
	maxSubscriptions = 1024

	eventClock    = 0
	clockRealtime = 0
	flagAbsolute  = 1

	errnoFault = 21
	errnoInval = 28
)

// poller replaces wazero's poll_oneoff, which refuses the absolute times that
// Python's time.sleep asks for, and whose waits nothing can cut short.
type poller struct {
	interrupter *interrupter
	started     time.Time // origin of the monotonic clock
}

func newPoller(i *interrupter) *poller { return &poller{interrupter: i, started: time.Now()} }

// nanotime is the guest's monotonic clock.
func (p *poller) nanotime() int64 { return int64(time.Since(p.started)) }

// export builds the module of WASI functions with p's in it.
func (p *poller) export(builder wazero.HostModuleBuilder) {
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(builder)
	i32 := api.ValueTypeI32
	builder.NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(p.pollOneoff), []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}).
		Export("poll_oneoff")
}

// pollOneoff has the signature (in, out, nsubscriptions, nevents) → errno.
func (p *poller) pollOneoff(ctx context.Context, module api.Module, stack []uint64) {
	in, out, count, events := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	stack[0] = errnoInval
	if count == 0 || count > maxSubscriptions {
		return
	}
	stack[0] = errnoFault
	memory := module.Memory()
	subscribed, ok := memory.Read(in, count*subscriptionSize)
	if !ok {
		return
	}
	happened := p.poll(ctx, subscribed)
	if memory.Write(out, happened) && memory.WriteUint32Le(events, uint32(len(happened)/eventSize)) {
		stack[0] = 0
	}
}

// poll waits and returns the events. A file is always ready. An interrupt
// makes the clocks fire early: the C library has no use for an error here,
// and Python looks for signals after every sleep.
func (p *poller) poll(ctx context.Context, subscribed []byte) []byte {
	if files := pick(subscribed, false); len(files) > 0 {
		return files
	}
	clocks := pick(subscribed, true)
	first := time.Duration(math.MaxInt64)
	for at := 0; at < len(subscribed); at += subscriptionSize {
		first = min(first, p.delay(subscribed[at:]))
	}
	p.interrupter.wait(ctx, first)
	return clocks
}

// delay returns how long a clock subscription wants to wait from now.
func (p *poller) delay(subscription []byte) time.Duration {
	clock := binary.LittleEndian.Uint32(subscription[16:])
	timeout := int64(min(binary.LittleEndian.Uint64(subscription[24:]), math.MaxInt64))
	switch {
	case binary.LittleEndian.Uint16(subscription[40:])&flagAbsolute == 0:
		return time.Duration(timeout)
	case clock == clockRealtime:
		return time.Until(time.Unix(0, timeout))
	default:
		return time.Duration(timeout - p.nanotime())
	}
}

// pick returns the events of those subscriptions that are clocks, or of those
// that are not.
func pick(subscribed []byte, clocks bool) []byte {
	var events []byte
	for at := 0; at < len(subscribed); at += subscriptionSize {
		userdata, kind := subscribed[at:at+8], subscribed[at+8]
		if (kind == eventClock) == clocks {
			event := make([]byte, eventSize)
			copy(event, userdata)
			event[10] = kind
			events = append(events, event...)
		}
	}
	return events
}
