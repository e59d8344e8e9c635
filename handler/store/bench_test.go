package store_test

import (
	"bytes"
	"context"
	"testing"
)

// benchmarkUpdate measures an Update of a 64 KiB record, nobody else about.
func benchmarkUpdate(b *testing.B, s records) {
	if err := s.Create(b.Context(), key, bytes.Repeat([]byte("x"), 64<<10)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := s.Update(b.Context(), key, func(_ context.Context, data []byte) ([]byte, error) { return data, nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}
