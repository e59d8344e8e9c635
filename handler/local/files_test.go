package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestFilesOfKilledRunsAreClearedAway(t *testing.T) {
	parent := t.TempDir()
	dead := exec.Command("go", "version")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(parent, fmt.Sprintf("%s%d-1", filesPrefix, dead.ProcessState.Pid()))
	live := filepath.Join(parent, fmt.Sprintf("%s%d-1", filesPrefix, os.Getppid()))
	other := filepath.Join(parent, filesPrefix+"notes")
	for _, dir := range []string{left, live, other} {
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	made, err := sessionsDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{left: false, live: true, other: true, made: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
}
