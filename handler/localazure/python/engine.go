package python

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// ErrClosed tells that the engine or the session has been closed.
var ErrClosed = errors.New("the Python sandbox is closed")

// Config says how an engine's sessions are to be. Zero values mean defaults.
type Config struct {
	// CacheDir is where the compiled interpreter is kept, about 34 MB of
	// machine code. It is made if need be and closed to other users; what
	// else is in it may be deleted. Default: a directory under [os.UserCacheDir].
	CacheDir string
	// MemoryLimit is how much memory a session's code can have, in bytes,
	// from 32 MiB to 2 GiB; beyond it Python raises MemoryError. Default:
	// 256 MiB. The interpreter itself takes about 16 MiB of it.
	MemoryLimit int64
	// MaxBytes and MaxFiles bound what the code can make of a session's
	// directory; beyond them Python raises OSError. Defaults: 256 MiB and
	// 10,000 files and directories.
	MaxBytes int64
	MaxFiles int
	// Log hears of workers that start and end. Default: nobody does.
	Log *slog.Logger
}

const (
	minMemory = 32 << 20 // bytes
	maxMemory = 2 << 30
)

// settings returns what a worker needs to know, and prepares the cache.
func (c Config) settings() (settings, error) {
	memory := cmp.Or(c.MemoryLimit, 256<<20)
	if memory < minMemory || memory > maxMemory {
		return settings{}, fmt.Errorf("memory limit of %d bytes, want from %d to %d", memory, minMemory, maxMemory)
	}
	cacheDir, err := c.cacheDir()
	if err != nil {
		return settings{}, fmt.Errorf("prepare the cache for the compiled interpreter: %w", err)
	}
	return settings{
		CacheDir:    cacheDir,
		MemoryPages: uint32(memory / pageSize),
		MaxBytes:    cmp.Or(c.MaxBytes, 256<<20),
		MaxFiles:    cmp.Or(c.MaxFiles, 10_000),
	}, nil
}

// cacheDir makes the cache directory ours alone: workers run what is in it.
func (c Config) cacheDir() (string, error) {
	dir := c.CacheDir
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(user, "keyless", "python")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o700) // fails if it is somebody else's
}

// Engine starts sessions. It keeps one worker ready (supply.go), so that a
// session starts at once. It is safe for concurrent use.
type Engine struct {
	settings settings
	log      *slog.Logger
	supply   *supply
	alive    context.Context // until Close
	stop     context.CancelFunc
	running  sync.WaitGroup // the goroutines of the engine and of its workers
}

// Open returns an engine, and starts its first worker in the background: in
// about half a second, but on the first run on a machine it compiles the
// interpreter for some seconds. It fails with [ErrNoPython] if the binary has
// no interpreter in it. ctx is for the opening alone.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return nil, fmt.Errorf("the Python sandbox needs an amd64 or arm64 processor, this program is built for %s", runtime.GOARCH)
	}
	if isWorker() { // else each worker would start workers
		return nil, errors.New("the Python sandbox cannot be opened in its own worker: main must call python.WorkerMain first")
	}
	if _, err := assets.Open(wasmFile); err != nil {
		return nil, ErrNoPython
	}
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	e := &Engine{settings: s, log: cmp.Or(c.Log, slog.New(slog.DiscardHandler))}
	e.alive, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	e.supply = newSupply(e)
	return e, nil
}

// Start returns a new session whose code sees the host's directory dir as
// /mnt/data. It waits until the interpreter is ready, or for ctx.
func (e *Engine) Start(ctx context.Context, dir string) (*Session, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the session's directory: %w", err)
	}
	s := &Session{engine: e, dir: dir, turn: make(chan struct{}, 1)}
	s.alive, s.stop = context.WithCancel(e.alive)
	if err := s.revive(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// Close ends all sessions and workers, and waits until they are gone.
func (e *Engine) Close() error {
	e.stop()
	e.running.Wait()
	return nil
}
