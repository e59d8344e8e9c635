package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// AMQP values as Go values. What a frame can hold and this broker never looks
// at (decimals, characters) is kept as the raw bytes.
type (
	symbol    string
	uuid      [16]byte
	described struct {
		code  any // a uint64, or a symbol
		value any
	}
)

// maxDepth bounds the nesting of a value that is read.
const maxDepth = 32

var errShort = errors.New("an AMQP value ends too early")

// reader reads AMQP values (part 1 of the AMQP 1.0 specification).
type reader struct{ rest []byte }

// take returns the next n bytes.
func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.rest) {
		return nil, errShort
	}
	head := r.rest[:n]
	r.rest = r.rest[n:]
	return head, nil
}

// number reads a big-endian number of 0, 1, 2, 4 or 8 bytes.
func (r *reader) number(width int) (uint64, error) {
	b, err := r.take(width)
	if err != nil {
		return 0, err
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, nil
}

// value reads one value, constructor and all.
func (r *reader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("an AMQP value is nested too deep")
	}
	code, err := r.number(1)
	if err != nil {
		return nil, err
	}
	if code != 0 {
		return r.body(byte(code), depth)
	}
	descriptor, err := r.value(depth + 1)
	if err != nil {
		return nil, err
	}
	value, err := r.value(depth + 1)
	return described{descriptor, value}, err
}

// body reads what follows the constructor code. The code's upper half says how
// long it is: 4x to 9x fixed, ax and bx a length and bytes, cx to fx compound.
func (r *reader) body(code byte, depth int) (any, error) {
	switch code >> 4 {
	case 0x4:
		return r.fixed(code, 0)
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		return r.fixed(code, 1<<(code>>4-5))
	case 0xa:
		return r.variable(code, 1)
	case 0xb:
		return r.variable(code, 4)
	case 0xc, 0xe:
		return r.compound(code, 1, depth)
	case 0xd, 0xf:
		return r.compound(code, 4, depth)
	}
	return nil, fmt.Errorf("unknown AMQP constructor %#x", code)
}

func (r *reader) fixed(code byte, width int) (any, error) {
	if width == 16 {
		b, err := r.take(width)
		if err != nil {
			return nil, err
		}
		return uuid(b), nil
	}
	n, err := r.number(width)
	if err != nil {
		return nil, err
	}
	switch code {
	case 0x40:
		return nil, nil
	case 0x41, 0x42:
		return code == 0x41, nil
	case 0x56:
		return n != 0, nil
	case 0x43, 0x52, 0x70:
		return uint32(n), nil
	case 0x44, 0x53, 0x80:
		return n, nil
	case 0x45:
		return []any{}, nil
	case 0x50:
		return uint8(n), nil
	case 0x60:
		return uint16(n), nil
	case 0x51:
		return int8(n), nil
	case 0x61:
		return int16(n), nil
	case 0x54:
		return int32(int8(n)), nil
	case 0x71:
		return int32(n), nil
	case 0x55:
		return int64(int8(n)), nil
	case 0x81:
		return int64(n), nil
	case 0x72:
		return math.Float32frombits(uint32(n)), nil
	case 0x82:
		return math.Float64frombits(n), nil
	case 0x83:
		return time.UnixMilli(int64(n)).UTC(), nil
	case 0x73, 0x74, 0x84: // character, decimals
		return binary.BigEndian.AppendUint64(nil, n)[8-width:], nil
	}
	return nil, fmt.Errorf("unknown AMQP constructor %#x", code)
}

func (r *reader) variable(code byte, width int) (any, error) {
	n, err := r.number(width)
	if err != nil {
		return nil, err
	}
	b, err := r.take(int(n))
	if err != nil {
		return nil, err
	}
	switch code & 0xf {
	case 0x0:
		return b, nil
	case 0x1:
		return string(b), nil
	case 0x3:
		return symbol(b), nil
	}
	return nil, fmt.Errorf("unknown AMQP constructor %#x", code)
}

// compound reads a list, a map or an array: its size, its count, its items.
func (r *reader) compound(code byte, width, depth int) (any, error) {
	size, err := r.number(width)
	if err != nil {
		return nil, err
	}
	content, err := r.take(int(size))
	if err != nil {
		return nil, err
	}
	in := &reader{content}
	count, err := in.number(width)
	if err != nil {
		return nil, err
	}
	// An item takes at least a byte, but in an array of, say, nulls: no frame has one.
	if count > size {
		return nil, errShort
	}
	switch code {
	case 0xc0, 0xd0:
		return in.list(int(count), depth)
	case 0xc1, 0xd1:
		return in.dict(int(count), depth)
	case 0xe0, 0xf0:
		return in.array(int(count), depth)
	}
	return nil, fmt.Errorf("unknown AMQP constructor %#x", code)
}

func (r *reader) list(count, depth int) (any, error) {
	items := make([]any, count)
	for i := range items {
		var err error
		if items[i], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// dict reads a map. Keys that are neither strings nor symbols are dropped:
// frames have none that matter.
func (r *reader) dict(count, depth int) (any, error) {
	items := map[string]any{}
	for range count / 2 {
		key, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		switch key := key.(type) {
		case string:
			items[key] = value
		case symbol:
			items[string(key)] = value
		}
	}
	return items, nil
}

// array reads items that share one constructor.
func (r *reader) array(count, depth int) (any, error) {
	code, err := r.number(1)
	if err != nil {
		return nil, err
	}
	if code == 0 || depth >= maxDepth {
		return nil, errors.New("an AMQP array of described or too deep values")
	}
	items := make([]any, count)
	for i := range items {
		if items[i], err = r.body(byte(code), depth+1); err != nil {
			return nil, err
		}
	}
	return items, nil
}
