package python

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// The directory is embedded, not the file, so that the program compiles
// without the interpreter.
//
//go:embed assets
var assets embed.FS

//go:embed driver.py
var driver string

// ErrNoPython tells that this binary was built without the interpreter.
var ErrNoPython = errors.New("there is no Python interpreter in this build: run `make python` and build again")

// wasmFile is where the interpreter stands within assets.
const wasmFile = "assets/python.wasm"

// interpreterWasm returns CPython as a WebAssembly module.
func interpreterWasm() ([]byte, error) {
	wasm, err := assets.ReadFile(wasmFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoPython
	}
	if err != nil {
		return nil, fmt.Errorf("read the embedded Python interpreter: %w", err)
	}
	return wasm, nil
}
