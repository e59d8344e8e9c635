package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// pack makes an npm archive with one file and returns its path.
func pack(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tgz")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(file)
	archive := tar.NewWriter(zipped)
	err = archive.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644})
	_, err2 := archive.Write([]byte(content))
	if err := errors.Join(err, err2, archive.Close(), zipped.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnpack(t *testing.T) {
	got, err := unpack(pack(t, wasmInside, "wasm"))
	if err != nil || string(got) != "wasm" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := unpack(pack(t, "package/README.md", "no")); err == nil {
		t.Error("no error for an archive without the interpreter")
	}
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	for _, want := range []string{"one", "two"} {
		if err := replace(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != want {
			t.Errorf("the file holds %q (%v), want %q", got, err, want)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files left (%v), want 1", len(entries), err)
	}
}
