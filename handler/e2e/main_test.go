package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"keyless/handler/localazure/python"
)

// What all tests share: the binaries and one engine for Python.
var (
	deployedBinary string
	localBinary    string
	engine         *python.Engine
)

func TestMain(m *testing.M) {
	python.WorkerMain()
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "keyless-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	deployedBinary, localBinary = filepath.Join(dir, "handler"), filepath.Join(dir, "local")
	for binary, source := range map[string]string{deployedBinary: "keyless/handler", localBinary: "keyless/handler/local"} {
		build := exec.Command("go", slices.Concat([]string{"build"}, buildFlags, []string{"-o", binary, source})...)
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, err
	}
	engine, err = python.Open(context.Background(), python.Config{
		CacheDir: filepath.Join(cache, "keyless", "python"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer engine.Close()
	return m.Run(), nil
}
