package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Frame types (AMQP 1.0 part 2.3.1 and 5.3.1).
const (
	kindAMQP   = 0
	kindSASL   = 1
	kindHeader = 0xff // not AMQP's: a protocol header, whose code is the protocol id
)

// Descriptors of the performatives and of what stands in them.
const (
	codeOpen        = 0x10
	codeBegin       = 0x11
	codeAttach      = 0x12
	codeFlow        = 0x13
	codeTransfer    = 0x14
	codeDisposition = 0x15
	codeDetach      = 0x16
	codeEnd         = 0x17
	codeClose       = 0x18

	codeError    = 0x1d
	codeAccepted = 0x24
	codeRejected = 0x25
	codeReleased = 0x26
	codeModified = 0x27
	codeSource   = 0x28
	codeTarget   = 0x29

	codeSASLMechanisms = 0x40
	codeSASLInit       = 0x41
	codeSASLOutcome    = 0x44
)

// maxFrameBytes is the largest frame taken; Service Bus has the same bound.
const maxFrameBytes = 64 << 10

// frame is a frame as read. An empty one (a heartbeat) has code 0.
type frame struct {
	kind    byte
	channel uint16
	code    uint64
	fields  fields
	payload []byte
}

// readFrame reads a frame, or a protocol header. The frame owns its memory.
func readFrame(r io.Reader) (frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	if string(head[:4]) == "AMQP" {
		return frame{kind: kindHeader, code: uint64(head[4])}, nil
	}
	size, start := int(binary.BigEndian.Uint32(head[:])), 4*int(head[4])
	if size > maxFrameBytes || start < len(head) || size < start {
		return frame{}, fmt.Errorf("a frame of %d bytes whose body starts at %d", size, start)
	}
	rest := make([]byte, size-len(head))
	if _, err := io.ReadFull(r, rest); err != nil {
		return frame{}, err
	}
	f := frame{kind: head[5], channel: binary.BigEndian.Uint16(head[6:])}
	return f, f.parse(rest[start-len(head):])
}

// parse reads the body: a performative, then the payload.
func (f *frame) parse(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	r := &reader{body}
	v, err := r.value(0)
	if err != nil {
		return err
	}
	code, list, ok := composite(v)
	if !ok {
		return errors.New("a frame without a performative")
	}
	f.code, f.fields, f.payload = code, list, r.rest
	return nil
}

// composite takes a described list apart.
func composite(v any) (uint64, fields, bool) {
	d, _ := v.(described)
	code, ok := d.code.(uint64)
	list, isList := d.value.([]any)
	return code, list, ok && isList
}

// appendFrame appends a frame with one performative.
func appendFrame(b []byte, kind byte, channel uint16, code uint64, list []any, payload []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 2, kind)
	b = binary.BigEndian.AppendUint16(b, channel)
	b = append(appendValue(b, described{code, list}), payload...)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// fields is a typed view on a performative's list. A field that is missing,
// null or of another type reads as the zero value.
type fields []any

// field returns field i as a T.
func field[T any](f fields, i int) T {
	if i >= len(f) {
		var zero T
		return zero
	}
	v, _ := f[i].(T)
	return v
}

// has reports whether field i is there and not null.
func (f fields) has(i int) bool { return i < len(f) && f[i] != nil }

// composite returns field i, a described list, taken apart.
func (f fields) composite(i int) (uint64, fields) {
	code, list, _ := composite(field[described](f, i))
	return code, list
}
