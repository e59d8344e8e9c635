package queue_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyless/handler/fault"
	"keyless/handler/localazure/bus"
	"keyless/handler/queue"
)

// Many senders, and a broker that says nothing: all give up in time, and all
// is well once it speaks again. (In real time: senders queue behind mutexes.)
func TestSilentBroker(t *testing.T) {
	r := newRig(t)
	s := r.sender(quick)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Silence(true)
	began := time.Now()
	var senders sync.WaitGroup
	for i := range 64 {
		senders.Go(func() {
			want(t, s.Send(t.Context(), message(fmt.Sprint(i), "c-1")), fault.Unavailable, "queue_timeout")
		})
	}
	senders.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	r.Silence(false)
	for i := range 64 {
		senders.Go(func() {
			if err := s.Send(t.Context(), message(fmt.Sprint(i), "c-1")); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	if n := r.Counts(jobs).Active; n != 64 {
		t.Errorf("%d messages", n)
	}
}

// A caller's deadline ends its wait though another caller is dialing, which
// azservicebus does with a mutex held.
func TestDeadlineBehindADial(t *testing.T) {
	dialing := make(chan struct{}, 1)
	s := newRig(t).sender(func(c *queue.Config) {
		c.Timeout = 3 * time.Second
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			select {
			case dialing <- struct{}{}:
			default:
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	var first sync.WaitGroup
	first.Go(func() { want(t, s.Send(t.Context(), message("j-1", "c-1")), fault.Unavailable, "queue_timeout") })
	<-dialing
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	want(t, s.Send(ctx, message("j-2", "c-1")), fault.Deadline, "deadline_exceeded")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	first.Wait()
}

// Connections cut, closed and detached all the time, answers lost: what was
// acknowledged is there, once.
func TestChaos(t *testing.T) {
	r := newRig(t)
	s := r.sender(quick)
	var sends atomic.Int64
	r.OnSend(func(string, string) bus.SendFault {
		if sends.Add(1)%50 == 0 {
			return bus.SendFault{Outcome: bus.StoreAndCut}
		}
		return bus.SendFault{}
	})
	stop := make(chan struct{})
	var chaos, senders sync.WaitGroup
	chaos.Go(func() {
		harm := []func(){r.CutConnections, r.CloseConnections, r.DetachLinks}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Millisecond):
				harm[i%len(harm)]()
			}
		}
	})
	const each = 100
	for g := range 16 {
		senders.Go(func() {
			for i := range each {
				m := message(fmt.Sprintf("%d-%d", g, i), "c-1")
				for try := 0; ; try++ {
					err := s.Send(t.Context(), m)
					if err == nil {
						break
					}
					if !fault.Is(err, fault.Unavailable) || try == 20 {
						t.Errorf("try %d of %s: %v", try, m.ID, err)
						return
					}
				}
			}
		})
	}
	senders.Wait()
	close(stop)
	chaos.Wait()
	if n := r.Counts(jobs); n.Active != 16*each {
		t.Errorf("%d messages of %d sends: %+v", n.Active, 16*each, n)
	}
}

// The emulator's connection string, over TCP without TLS.
func TestEmulator(t *testing.T) {
	r := newRig(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.Serve(l) }()
	s := r.sender(quick, func(c *queue.Config) {
		c.Namespace, c.Credential, c.Dial, c.Local = "", nil, nil, true
		c.EmulatorConnection = "Endpoint=sb://" + l.Addr().String() + key + ";UseDevelopmentEmulator=true"
	})
	if err := s.Send(t.Context(), message("j-1", "c-1")); err != nil {
		t.Fatal(err)
	}
	if n := r.Counts(jobs).Active; n != 1 {
		t.Errorf("%d messages", n)
	}
}

func BenchmarkSend(b *testing.B) {
	r := newRig(b)
	s := r.sender()
	var id atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Send(b.Context(), message(fmt.Sprint(id.Add(1)), "c-1")); err != nil {
				b.Error(err)
			}
		}
	})
}
