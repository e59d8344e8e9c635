package bus

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"
)

// appendValue appends v in AMQP's encoding. It knows the types that the
// broker's frames hold, and those alone; another one is a bug and panics.
// Maps get symbols for keys, as those of frames do.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 0x40)
	case bool:
		if v {
			return append(b, 0x41)
		}
		return append(b, 0x42)
	case uint8:
		return append(b, 0x50, v)
	case uint16:
		return binary.BigEndian.AppendUint16(append(b, 0x60), v)
	case uint32:
		return binary.BigEndian.AppendUint32(append(b, 0x70), v)
	case uint64:
		if v <= 0xff { // go-amqp wants a frame's descriptor in the short form
			return append(b, 0x53, byte(v))
		}
		return binary.BigEndian.AppendUint64(append(b, 0x80), v)
	case int64:
		return binary.BigEndian.AppendUint64(append(b, 0x81), uint64(v))
	case time.Time:
		return binary.BigEndian.AppendUint64(append(b, 0x83), uint64(v.UnixMilli()))
	case []byte:
		return appendBytes(b, 0xb0, v)
	case string:
		return appendBytes(b, 0xb1, v)
	case symbol:
		return appendBytes(b, 0xb3, v)
	case described:
		return appendValue(appendValue(append(b, 0x00), v.code), v.value)
	case []any:
		return appendList(b, v)
	case []symbol:
		return appendSymbols(b, v)
	case map[string]any:
		return appendMap(b, v)
	}
	panic(fmt.Sprintf("bus: no AMQP encoding for %T", v))
}

func appendBytes[T ~string | ~[]byte](b []byte, code byte, v T) []byte {
	b = binary.BigEndian.AppendUint32(append(b, code), uint32(len(v)))
	return append(b, v...)
}

func appendList(b []byte, items []any) []byte {
	return appendCompound(b, 0xd0, len(items), func(b []byte) []byte {
		for _, item := range items {
			b = appendValue(b, item)
		}
		return b
	})
}

func appendMap(b []byte, items map[string]any) []byte {
	return appendCompound(b, 0xd1, 2*len(items), func(b []byte) []byte {
		for _, key := range slices.Sorted(maps.Keys(items)) {
			b = appendValue(appendValue(b, symbol(key)), items[key])
		}
		return b
	})
}

func appendSymbols(b []byte, items []symbol) []byte {
	return appendCompound(b, 0xf0, len(items), func(b []byte) []byte {
		b = append(b, 0xb3)
		for _, item := range items {
			b = binary.BigEndian.AppendUint32(b, uint32(len(item)))
			b = append(b, item...)
		}
		return b
	})
}

// appendCompound appends a compound value: code, size, count, and what items
// appends.
func appendCompound(b []byte, code byte, count int, items func([]byte) []byte) []byte {
	b = append(b, code, 0, 0, 0, 0)
	start := len(b)
	b = items(binary.BigEndian.AppendUint32(b, uint32(count)))
	binary.BigEndian.PutUint32(b[start-4:], uint32(len(b)-start))
	return b
}
