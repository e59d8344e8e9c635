package queue_test

import (
	"strings"
	"testing"

	"keyless/handler/fault"
	"keyless/handler/queue"
)

const key = ";SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0"

func TestEmulatorConnection(t *testing.T) {
	const emulator = ";UseDevelopmentEmulator=true"
	for _, ok := range []string{
		"Endpoint=sb://127.0.0.1:5672" + key + emulator,
		"Endpoint=sb://localhost" + key + emulator + ";",
		"endpoint=sb://[::1]:5672/" + key + ";usedevelopmentemulator=TRUE",
	} {
		if _, err := queue.New(queue.Config{Queue: "jobs", Local: true, EmulatorConnection: ok}); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for name, c := range map[string]queue.Config{
		"deployed":      {EmulatorConnection: "Endpoint=sb://127.0.0.1:5672" + key + emulator},
		"no emulator":   {Local: true, EmulatorConnection: "Endpoint=sb://127.0.0.1:5672" + key},
		"switched off":  {Local: true, EmulatorConnection: "Endpoint=sb://127.0.0.1:5672" + key + ";UseDevelopmentEmulator=false"},
		"real":          {Local: true, EmulatorConnection: "Endpoint=sb://ns.servicebus.windows.net" + key + emulator},
		"disguised":     {Local: true, EmulatorConnection: "Endpoint=sb://127.0.0.1.example.com" + key + emulator},
		"user":          {Local: true, EmulatorConnection: "Endpoint=sb://127.0.0.1@example.com" + key + emulator},
		"other scheme":  {Local: true, EmulatorConnection: "Endpoint=https://127.0.0.1" + key + emulator},
		"two endpoints": {Local: true, EmulatorConnection: "Endpoint=sb://127.0.0.1;Endpoint=sb://example.com" + key + emulator},
		"private":       {Local: true, EmulatorConnection: "Endpoint=sb://10.0.0.1" + key + emulator},
		"none":          {Local: true, EmulatorConnection: "x"},
	} {
		c.Queue = "jobs"
		_, err := queue.New(c)
		if !fault.Is(err, fault.Misconfigured) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the error holds the key", name)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]queue.Config{
		"nothing":       {},
		"no queue":      {Namespace: "ns.servicebus.windows.net"},
		"no credential": {Namespace: "ns.servicebus.windows.net", Queue: "jobs"},
	} {
		if _, err := queue.New(c); !fault.Is(err, fault.Misconfigured) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzEmulatorConnection(f *testing.F) {
	f.Add("Endpoint=sb://127.0.0.1:5672" + key + ";UseDevelopmentEmulator=true")
	f.Add("Endpoint=sb://127.0.0.1;Endpoint =sb://example.com;UseDevelopmentEmulator=true")
	f.Fuzz(func(t *testing.T, connection string) {
		_, err := queue.New(queue.Config{Namespace: "ns", Queue: "jobs", EmulatorConnection: connection})
		if connection != "" && err == nil {
			t.Errorf("%q was taken outside a local run", connection)
		}
		_, _ = queue.New(queue.Config{Queue: "jobs", Local: true, EmulatorConnection: connection})
	})
}
