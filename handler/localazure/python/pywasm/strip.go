package main

import (
	"encoding/binary"
	"errors"
	"slices"
)

const wasmHeader = "\x00asm\x01\x00\x00\x00"

// strip returns the WebAssembly module without its custom sections (id 0),
// which hold debug data and names. A section is an id byte, its length in
// LEB128, and so many bytes (WebAssembly core specification, 5.5.2).
func strip(wasm []byte) ([]byte, error) {
	if len(wasm) < len(wasmHeader) || string(wasm[:len(wasmHeader)]) != wasmHeader {
		return nil, errors.New("not a WebAssembly module")
	}
	kept := slices.Clone(wasm[:len(wasmHeader)])
	for rest := wasm[len(wasmHeader):]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) {
			return nil, errors.New("a section is cut off")
		}
		end := 1 + n + int(size)
		if rest[0] != 0 {
			kept = append(kept, rest[:end]...)
		}
		rest = rest[end:]
	}
	return kept, nil
}
