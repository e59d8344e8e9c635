package python

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestInterrupterFindsTheWords(t *testing.T) {
	memory := make([]byte, 3*4096)
	set := func(value uint32, addresses ...int) {
		for _, at := range addresses {
			binary.LittleEndian.PutUint32(memory[at:], value)
		}
	}
	var i interrupter
	for round := range 3 {
		i.picture(memory)
		noise := 4096 + 4*round
		set(1, 8, 2*4096+4, noise) // the signal's words, and some noise
		set(7, 100)
		i.picture(memory)
		set(0, 8, 2*4096+4, noise)
	}
	if want := []uint32{8, 2*4096 + 4}; !slices.Equal(i.candidates, want) {
		t.Errorf("found %d, want %d", i.candidates, want)
	}
	if !i.settle(memory) {
		t.Fatal("the words were not accepted")
	}
	i.begin(1)
	i.poke(1)
	if memory[8] != 1 || memory[2*4096+4] != 1 {
		t.Error("an interrupt did not set the words")
	}
}

func TestInterrupterWithoutWords(t *testing.T) {
	memory := make([]byte, 4096)
	var i interrupter
	for range 2 {
		i.picture(memory)
	}
	if i.settle(memory) {
		t.Error("no word was found and yet accepted")
	}
}

func TestInterruptIsForOneCell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i interrupter
		i.interrupt(1) // none runs
		i.begin(2)
		i.interrupt(1) // it has ended
		begun := time.Now()
		i.wait(context.Background(), time.Minute)
		if waited := time.Since(begun); waited != time.Minute {
			t.Errorf("waited %v, want a minute: the interrupt was for another cell", waited)
		}
		var interrupting sync.WaitGroup
		interrupting.Go(func() { i.interrupt(2) })
		i.wait(context.Background(), time.Minute)
		if waited := time.Since(begun); waited != time.Minute {
			t.Errorf("waited %v after an interrupt, want no longer", waited-time.Minute)
		}
		i.end()
		interrupting.Wait() // it goes on until the cell has ended
	})
}

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i interrupter
		p := newPoller(&i)
		subscription := func(user byte, kind byte, clock uint32, timeout uint64, flags uint16) []byte {
			s := make([]byte, subscriptionSize)
			s[0], s[8] = user, kind
			binary.LittleEndian.PutUint32(s[16:], clock)
			binary.LittleEndian.PutUint64(s[24:], timeout)
			binary.LittleEndian.PutUint16(s[40:], flags)
			return s
		}
		i.wait(t.Context(), time.Second) // so that the monotonic clock is not at zero
		second := uint64(time.Second)
		for _, c := range []struct {
			name       string
			subscribed []byte
			waits      time.Duration
			users      []byte
		}{
			{"relative", subscription(1, eventClock, 1, 2*second, 0), 2 * time.Second, []byte{1}},
			{"absolute", subscription(2, eventClock, clockRealtime, uint64(time.Now().UnixNano())+5*second, flagAbsolute), 3 * time.Second, []byte{2}},
			{"monotonic", subscription(3, eventClock, 1, 7*second, flagAbsolute), time.Second, []byte{3}},
			{"past", subscription(3, eventClock, 1, second, flagAbsolute), 0, []byte{3}},
			{"the first of two", slices.Concat(subscription(4, eventClock, 1, 9*second, 0), subscription(5, eventClock, 1, second, 0)), time.Second, []byte{4, 5}},
			{"a file", slices.Concat(subscription(6, eventClock, 1, second, 0), subscription(7, 1, 0, 0, 0)), 0, []byte{7}},
		} {
			begun := time.Now()
			events := p.poll(t.Context(), c.subscribed)
			if waited := time.Since(begun); waited != c.waits {
				t.Errorf("%s: waited %v, want %v", c.name, waited, c.waits)
			}
			var users []byte
			for event := range slices.Chunk(events, eventSize) {
				users = append(users, event[0])
			}
			if !slices.Equal(users, c.users) {
				t.Errorf("%s: events %v, want %v", c.name, users, c.users)
			}
		}
	})
}
