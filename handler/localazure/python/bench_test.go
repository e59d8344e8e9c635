package python

import (
	"testing"
	"time"
)

func BenchmarkRun(b *testing.B) {
	s := startSession(b)
	for b.Loop() {
		if o, err := s.Run(b.Context(), Request{Code: "1+1", Timeout: time.Minute, MaxStreamBytes: 4096}); err != nil || o.Value == nil {
			b.Fatal(o, err)
		}
	}
}

// BenchmarkStartWorker measures what a session waits for when there is no
// spare worker.
func BenchmarkStartWorker(b *testing.B) {
	e := openEngine(b, Config{})
	for b.Loop() {
		p, err := e.startProcess()
		if err != nil {
			b.Fatal(err)
		}
		p.kill()
		<-p.gone
	}
}
