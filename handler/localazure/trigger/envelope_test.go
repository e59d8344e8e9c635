package trigger

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/host"
)

func newPump(t *testing.T, single bool) *Pump {
	t.Helper()
	p, err := New(Config{
		Namespace: "ns.servicebus.windows.net", Queue: "jobs", Credential: &fake.TokenCredential{},
		Handler: "http://127.0.0.1:1", Function: "run-job", SingleEncoded: single,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// message is the one in the testdata of package host.
func message(body string) *azservicebus.ReceivedMessage {
	at := time.Date(2023, 10, 12, 20, 13, 49, 0, time.UTC)
	return &azservicebus.ReceivedMessage{
		Body: []byte(body), MessageID: "7f42", ContentType: to.Ptr("application/json"), DeliveryCount: 3,
		SequenceNumber: to.Ptr(int64(1)), EnqueuedTime: &at, LockToken: [16]byte{0x0c, 0x6d, 0x8b, 0x1e, 0, 0, 0x40, 0, 0x80},
	}
}

func write(t *testing.T, p *Pump, m *azservicebus.ReceivedMessage) host.Envelope {
	t.Helper()
	data, err := p.envelope(m, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e, err := host.DecodeEnvelope(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The envelope says all that the host's does, in the same words.
func TestEnvelopeIsTheHosts(t *testing.T) {
	for name, single := range map[string]bool{"double.json": false, "single.json": true} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile("../../host/testdata/" + name)
			if err != nil {
				t.Fatal(err)
			}
			want, err := host.DecodeEnvelope(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			got := write(t, newPump(t, single), message(`{"job":"42"}`))
			if !reflect.DeepEqual(got.Data, want.Data) {
				t.Errorf("Data = %s, want %s", got.Data, want.Data)
			}
			for key := range want.Metadata {
				compare(t, key, got.Metadata[key], want.Metadata[key])
			}
		})
	}
}

// compare compares two values. Of objects, those with an id or a time in them,
// it compares the names that are wanted.
func compare(t *testing.T, key string, got, want json.RawMessage) {
	t.Helper()
	var g, w any
	if json.Unmarshal(got, &g) != nil || json.Unmarshal(want, &w) != nil {
		t.Fatalf("%s: %s, want %s", key, got, want)
	}
	object, ok := w.(map[string]any)
	if !ok {
		if !reflect.DeepEqual(g, w) {
			t.Errorf("%s = %s, want %s", key, got, want)
		}
		return
	}
	for name := range object {
		if _, ok := g.(map[string]any)[name]; !ok {
			t.Errorf("%s has no %s: %s", key, name, got)
		}
	}
}

func TestBodyLeaksIntoTheMetadata(t *testing.T) {
	e := write(t, newPump(t, false), message(`{"messageid":"forged","DeliveryCount":1,"flag":true,"deep":{"a":[1]},`+
		`"list":[1],"none":null,"myTrigger":"x","html":"<b>","sys":"gone"}`))
	for name, want := range map[string]string{
		"MessageId": "forged", "DeliveryCount": "1", "flag": "True", "deep": `{"a":[1]}`, "html": "<b>", "sys": "gone",
		"list": "", "none": "", "myTrigger": "", "messageid": "",
	} {
		if got := e.Text(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestEnvelopeOfOtherBodies(t *testing.T) {
	p := newPump(t, false)
	for _, body := range []string{"", "not JSON", "[1]", `{"cut":`, "\"quoted\"", "日本"} {
		e := write(t, p, message(body))
		var once, twice string
		if json.Unmarshal(e.Data["msg"], &once) != nil || json.Unmarshal([]byte(once), &twice) != nil || twice != body {
			t.Errorf("body %q came as %s", body, e.Data["msg"])
		}
		if got := e.Text("MessageId"); got != "7f42" {
			t.Errorf("MessageId = %q beside the body %q", got, body)
		}
	}
	if _, err := p.envelope(message("\xff"), time.Now()); err == nil {
		t.Error("a body that is not UTF-8 got into an envelope")
	}
}

func TestEnvelopeHasTheBrokersFields(t *testing.T) {
	m := message("{}")
	at := time.Date(2023, 10, 12, 20, 13, 49, 120e6, time.FixedZone("", 3600))
	m.SessionID, m.CorrelationID, m.Subject, m.EnqueuedTime = to.Ptr("s-1"), to.Ptr("c-1"), to.Ptr("sub"), &at
	m.ApplicationProperties = map[string]any{"traceparent": "00-1"}
	e := write(t, newPump(t, false), m)
	for name, want := range map[string]string{
		"SessionId": "s-1", "CorrelationId": "c-1", "Subject": "sub", "Label": "sub", "ReplyTo": "", "LockToken": "0c6d8b1e-0000-4000-8000-000000000000",
		"EnqueuedTimeUtc": "2023-10-12T19:13:49", "EnqueuedTime": "2023-10-12T19:13:49.12+00:00",
		"ApplicationProperties": `{"traceparent":"00-1"}`, "UserProperties": `{"traceparent":"00-1"}`,
	} {
		if got := e.Text(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":"x","c":{"d":null},"e":[1],"MessageId":2e3}`))
	f.Add([]byte(` { "a" : true } `))
	f.Fuzz(func(t *testing.T, body []byte) {
		p := &Pump{cfg: Config{Binding: "msg"}}
		data, err := p.envelope(message(string(body)), time.Now())
		if err != nil {
			return
		}
		if _, err := host.DecodeEnvelope(bytes.NewReader(data)); err != nil {
			t.Errorf("the host package cannot read the envelope of %q: %v", body, err)
		}
	})
}
