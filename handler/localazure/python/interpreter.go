package python

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

const pageSize = 64 << 10 // bytes; WebAssembly core specification, 2.5.5

// surroundings are all that the interpreter can reach. It sees no other file
// of the host, no environment, no network and no process.
type surroundings struct {
	stdout, stderr io.Writer
	control        *control
	data           experimentalsys.FS
	poller         *poller
}

// newInterpreter returns CPython, ready to run the driver: a call of the
// module's _start does that, and returns when the interpreter has ended.
func newInterpreter(ctx context.Context, s settings, around surroundings) (api.Module, error) {
	wasm, err := interpreterWasm()
	if err != nil {
		return nil, err
	}
	wazeroRuntime, compiled, err := compile(ctx, s, wasm)
	if err != nil {
		return nil, fmt.Errorf("compile Python: %w", err)
	}
	builder := wazeroRuntime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	around.poller.export(builder)
	if _, err := builder.Instantiate(ctx); err != nil {
		return nil, fmt.Errorf("set up WASI: %w", err)
	}
	module, err := wazeroRuntime.InstantiateModule(ctx, compiled, around.config())
	if err != nil {
		return nil, fmt.Errorf("set up Python: %w", err)
	}
	return module, nil
}

// config gives the module its arguments, files, clocks and random source. The
// last two stand still in wazero unless they are set.
func (a surroundings) config() wazero.ModuleConfig {
	mounts := wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(controlDir{file: a.control}, "/ctl")
	mounts = mounts.(sysfs.FSConfig).WithSysFSMount(a.data, "/mnt/data")
	return wazero.NewModuleConfig().
		WithStartFunctions(). // not yet: _start returns only at the interpreter's end
		WithArgs("python", "-I", "-S", "-B", "-X", "utf8", "-c", driver).
		WithStdout(a.stdout).
		WithStderr(a.stderr).
		WithFSConfig(mounts).
		WithSysWalltime().
		WithNanotime(a.poller.nanotime, 1).
		WithRandSource(rand.Reader)
}

// compile returns the compiled module and a runtime for it. A damaged file in
// the cache fails each time, so the cache is emptied then; if even that does
// not help, it goes without.
func compile(ctx context.Context, s settings, wasm []byte) (wazero.Runtime, wazero.CompiledModule, error) {
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	// The memory is allocated at its full size, which costs address space
	// only, so that it never moves: the interrupter points into it.
	config := wazero.NewRuntimeConfigCompiler().
		WithMemoryLimitPages(s.MemoryPages).
		WithMemoryCapacityFromMax(true)
	for range 2 {
		if cache, err := wazero.NewCompilationCacheWithDir(s.CacheDir); err == nil {
			cached := wazero.NewRuntimeWithConfig(ctx, config.WithCompilationCache(cache))
			if compiled, err := cached.CompileModule(ctx, wasm); err == nil {
				return cached, compiled, nil
			}
			_ = cached.Close(ctx)
		}
		_ = emptyDir(s.CacheDir)
	}
	uncached := wazero.NewRuntimeWithConfig(ctx, config)
	compiled, err := uncached.CompileModule(ctx, wasm)
	return uncached, compiled, err
}

// emptyDir deletes what is in the directory.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
