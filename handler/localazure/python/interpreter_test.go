package python

import (
	"os"
	"path/filepath"
	"testing"
)

// smallWasm is a module with one function, which does nothing.
const smallWasm = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x0a\x04\x01\x02\x00\x0b"

func TestCompileHealsTheCache(t *testing.T) {
	cache := t.TempDir()
	compileSmall := func() {
		t.Helper()
		r, _, err := compile(t.Context(), settings{CacheDir: cache, MemoryPages: 1}, []byte(smallWasm))
		must(t, err, r.Close(t.Context()))
	}
	compileSmall()
	files, err := filepath.Glob(filepath.Join(cache, "*", "*"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%d files in the cache, want 1", len(files))
	}
	good, err := os.ReadFile(files[0])
	must(t, err)
	for _, damage := range []func() error{
		func() error { return os.Truncate(files[0], int64(len(good)/2)) },
		func() error { return os.Truncate(files[0], 0) },
		func() error { return os.WriteFile(files[0], make([]byte, len(good)), 0o600) },
	} {
		must(t, damage())
		compileSmall()
		if now, err := os.ReadFile(files[0]); string(now) != string(good) {
			t.Errorf("the damaged file was not replaced (%v)", err)
		}
	}
	must(t, os.RemoveAll(cache), os.WriteFile(cache, nil, 0o600)) // no cache can be there
	compileSmall()
}

func TestOpenPreparesTheCache(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "new")
	s, err := Config{CacheDir: cache}.settings()
	must(t, err)
	info, err := os.Stat(s.CacheDir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the cache has mode %v, want 0700", info.Mode().Perm())
	}
}
