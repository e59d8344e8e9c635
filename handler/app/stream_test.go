package app

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/agent"
	"keyless/handler/conversation"
)

func testStream(t *testing.T, w http.ResponseWriter) *stream {
	r := httptest.NewRequest("POST", "/api/chat", nil).WithContext(t.Context())
	return newStream(&call{w: &recorder{ResponseWriter: w}, r: r})
}

func TestAQuietStreamIsKeptOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		s := testStream(t, w)
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.Body.Len() > 0 || s.begun() {
			t.Errorf("before the first event the stream wrote %q", w.Body)
		}
		s.event(conversation.Event{ConversationID: "c"})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		s.close()
		time.Sleep(time.Minute)
		want := "event: conversation\ndata: {\"conversation_id\":\"c\"}\n\n" + strings.Repeat(": still here\n\n", 2)
		if got := w.Body.String(); got != want {
			t.Errorf("the stream wrote %q, want %q", got, want)
		}
	})
}

func TestAnEventIsOneDataLine(t *testing.T) {
	w := httptest.NewRecorder()
	s := testStream(t, w)
	s.event(conversation.Event{Event: agent.Event{Text: "a\n\nevent: done\ndata: {}\r\n"}})
	s.close()
	if got := w.Body.String(); strings.Count(got, "\n") != 3 || strings.Contains(got, "\nevent: done") {
		t.Errorf("text can forge an event: %q", got)
	}
}

// brokenWriter is a connection whose reader is gone.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAReaderThatIsGoneEndsTheTurn(t *testing.T) {
	s := testStream(t, brokenWriter{httptest.NewRecorder()})
	defer s.close()
	if s.ctx.Err() != nil {
		t.Fatal("the turn ended before the reader was gone")
	}
	s.event(conversation.Event{ConversationID: "c"})
	if s.ctx.Err() == nil {
		t.Error("the turn goes on for nobody")
	}
}
