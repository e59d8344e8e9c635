package main

import (
	"bytes"
	"testing"
)

func TestStrip(t *testing.T) {
	custom, code := "\x00\x03abc", "\x0a\x02xy"
	got, err := strip([]byte(wasmHeader + custom + code + custom))
	if err != nil || string(got) != wasmHeader+code {
		t.Errorf("got %q, %v, want the code section alone", got, err)
	}
	for _, bad := range []string{"", "#!/bin/sh", wasmHeader + "\x0a", wasmHeader + "\x0a\x05xy", wasmHeader + "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if _, err := strip([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func FuzzStrip(f *testing.F) {
	f.Add([]byte(wasmHeader + "\x00\x03abc\x0a\x02xy"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		once, err := strip(wasm)
		if err != nil {
			return
		}
		twice, err := strip(once)
		if err != nil || !bytes.Equal(once, twice) || len(once) > len(wasm) {
			t.Errorf("stripping %q gives %q, then %q, %v", wasm, once, twice, err)
		}
	})
}
