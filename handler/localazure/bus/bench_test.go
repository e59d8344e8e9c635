package bus_test

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/localazure/bus"
)

// BenchmarkMessage sends, receives and completes one message after the other
// over loopback TCP; client and broker share the process.
func BenchmarkMessage(b *testing.B) {
	broker := bus.New(bus.Config{})
	broker.AddQueue(bus.Queue{Name: "q"})
	address := serve(b, broker, nil)
	c := emulatorClient(b, address)
	s, err := c.NewSender("q", nil)
	if err != nil {
		b.Fatal(err)
	}
	r, err := c.NewReceiverForQueue("q", nil)
	if err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 512)
	for b.Loop() {
		if err := s.SendMessage(context.Background(), &azservicebus.Message{Body: body}, nil); err != nil {
			b.Fatal(err)
		}
		got, err := r.ReceiveMessages(context.Background(), 1, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.CompleteMessage(context.Background(), got[0], nil); err != nil {
			b.Fatal(err)
		}
	}
}
