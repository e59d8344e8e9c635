package python

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestFramesComeBackAsTheyWere(t *testing.T) {
	value := "with\na line break"
	want := []report{{Ready: true}, {Stdout: []byte("a\nb\xff")}, {Done: &done{Cell: 1, Value: &value}}}
	var wire bytes.Buffer
	for _, r := range want {
		must(t, writeFrame(&wire, r))
	}
	incoming := newFrames(&wire)
	for _, w := range want {
		var got report
		if err := incoming.next(&got); err != nil || !reflect.DeepEqual(got, w) {
			t.Errorf("got %+v, %v, want %+v", got, err, w)
		}
	}
	if err := incoming.next(&report{}); err != io.EOF {
		t.Errorf("at the end: error %v, want EOF", err)
	}
}

func TestFrameOfExcessiveLength(t *testing.T) {
	err := newFrames(strings.NewReader(strings.Repeat("x", maxFrame+1))).next(&report{})
	if err == nil || errors.Is(err, io.EOF) {
		t.Errorf("error %v, want one", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("{\"ready\":true}\n{\"stdout\":\"YQ==\"}\n"))
	f.Add([]byte("{\"done\":{\"cell\":1,\"value\":\"x\"}}"))
	f.Add([]byte("{\"cell\"\n\n\x00"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		incoming := newFrames(bytes.NewReader(wire))
		for n := 0; ; n++ {
			var r report
			if err := incoming.next(&r); err != nil {
				return
			}
			if n > len(wire) {
				t.Fatal("more frames than bytes")
			}
			var again bytes.Buffer
			var back report
			if err := writeFrame(&again, r); err != nil || newFrames(&again).next(&back) != nil {
				t.Fatalf("a frame that was read, %+v, cannot be written and read: %v", r, err)
			}
		}
	})
}

// FuzzControl writes to the control file what the code might.
func FuzzControl(f *testing.F) {
	f.Add([]byte(`{"done":{"cell":1}}`))
	f.Add([]byte(`[1]`))
	f.Fuzz(func(t *testing.T, written []byte) {
		c := control{send: func(report) error { return nil }}
		if n, errno := c.Write(written); errno == 0 && n != len(written) {
			t.Errorf("took %d of %d bytes without an error", n, len(written))
		}
	})
}
