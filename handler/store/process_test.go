package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"keyless/handler/store"
	"keyless/handler/store/azurite"
)

// The test binary runs itself as another process that holds a record's lock.
// These variables tell it so.
const (
	holdKey      = "STORE_TEST_HOLD_KEY"      // the record to hold; unset: run the tests
	holdDir      = "STORE_TEST_HOLD_DIR"      // in this directory, or
	holdEndpoint = "STORE_TEST_HOLD_ENDPOINT" // at this Azurite,
	holdCert     = "STORE_TEST_HOLD_CERT"     // with this certificate,
	holdIn       = "STORE_TEST_HOLD_IN"       // in this container
)

func TestMain(m *testing.M) {
	run := func() (int, error) { return runTests(m) }
	if key := os.Getenv(holdKey); key != "" {
		run = func() (int, error) { return 0, hold(key) }
	}
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "azurite")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var stop func()
	emulator, stop, err = azurite.Start(dir)
	if err != nil {
		return 0, err
	}
	defer stop()
	return m.Run(), nil
}

// hold locks the record, says so, and holds it until its input ends. Then it
// adds "+" to the record.
func hold(key string) error {
	s, err := openHeld()
	if err != nil {
		return err
	}
	return s.Update(context.Background(), key, func(_ context.Context, data []byte) ([]byte, error) {
		fmt.Println("held")
		_, err := io.Copy(io.Discard, os.Stdin)
		return append(data, '+'), err
	})
}

func openHeld() (records, error) {
	if dir := os.Getenv(holdDir); dir != "" {
		return store.OpenDir(dir)
	}
	emulator = azurite.Server{Endpoint: os.Getenv(holdEndpoint), CertFile: os.Getenv(holdCert)}
	config, err := blobConfig(os.Getenv(holdIn), storageAudience)
	if err != nil {
		return nil, err
	}
	return store.NewBlob(config)
}

// holder is another process that holds a record.
type holder struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// startHolder returns once another process holds the record in the store that
// env tells of.
func startHolder(t *testing.T, key string, env []string) *holder {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), holdKey+"="+key), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() }) // which ends it, whatever the test did
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q: %v", line, err)
	}
	return &holder{cmd, stdin}
}

// finish lets the holder finish its work.
func (h *holder) finish(t *testing.T) {
	t.Helper()
	_ = h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		t.Fatalf("the holder failed: %v", err)
	}
}

// kill ends the holder as the Functions host does: with no warning.
func (h *holder) kill(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Wait(); err == nil {
		t.Fatal("the holder ended by itself")
	}
}
