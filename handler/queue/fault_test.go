package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"keyless/handler/fault"
)

func newSender(t *testing.T) *Sender {
	t.Helper()
	s, err := New(Config{Namespace: "ns.servicebus.windows.net", Queue: "jobs", Credential: &fake.TokenCredential{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFaults(t *testing.T) {
	condition := func(c amqp.ErrCond) error {
		return fmt.Errorf("send: %w", &amqp.LinkError{RemoteErr: &amqp.Error{Condition: c}})
	}
	for _, c := range []struct {
		err  error
		kind fault.Kind
		code string
		says string // in the message
	}{
		{azservicebus.ErrMessageTooLarge, fault.TooLarge, "queue_message_too_large", "255 KiB"},
		{condition("amqp:link:message-size-exceeded"), fault.TooLarge, "queue_message_too_large", ""},
		{condition("amqp:resource-limit-exceeded"), fault.Unavailable, "queue_full", "full"},
		{condition("com.microsoft:server-busy"), fault.Throttled, "queue_busy", ""},
		{condition("com.microsoft:entity-disabled"), fault.Misconfigured, "queue_disabled", "jobs of ns.servicebus.windows.net"},
		{condition("amqp:not-allowed"), fault.Misconfigured, "queue_not_allowed", "sessions"},
		{condition("amqp:unauthorized-access"), fault.Denied, "queue_role_missing", "Azure Service Bus Data Sender"},
		{&azservicebus.Error{Code: azservicebus.CodeUnauthorizedAccess}, fault.Denied, "queue_role_missing", "jobs of ns.servicebus.windows.net"},
		{condition("amqp:not-found"), fault.Misconfigured, "queue_not_found", "jobs of ns.servicebus.windows.net"},
		{&azservicebus.Error{Code: azservicebus.CodeNotFound}, fault.Misconfigured, "queue_not_found", "jobs of ns.servicebus.windows.net"},
		{&azservicebus.Error{Code: azservicebus.CodeConnectionLost}, fault.Unavailable, "queue_unreachable", "same Idempotency-Key"},
		{&azservicebus.Error{Code: azservicebus.CodeClosed}, fault.Unavailable, "queue_unreachable", "same Idempotency-Key"},
		{condition("amqp:something-new"), fault.Unavailable, "queue_unreachable", "same Idempotency-Key"},
		{&azservicebus.Error{Code: azservicebus.CodeTimeout}, fault.Unavailable, "queue_timeout", "same Idempotency-Key"},
		{condition("com.microsoft:timeout"), fault.Unavailable, "queue_timeout", "within 8s"},
		{errors.New("who knows"), fault.Internal, "internal_error", ""},
	} {
		err := uncertain(newSender(t).queueFault(t.Context(), c.err)) // as Send returns it
		f := fault.From(err)
		if f.Kind != c.kind || f.Code != c.code || !strings.Contains(f.Message, c.says) {
			t.Errorf("%v became %v %s %q", c.err, f.Kind, f.Code, f.Message)
		}
		if (f.Kind == fault.Throttled || f.Kind == fault.Unavailable) != (f.RetryAfter > 0) {
			t.Errorf("%v: retry after %v", c.err, f.RetryAfter)
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%v is not the cause of %v", c.err, err)
		}
	}
}

// What ended the context matters more than what azservicebus made of it.
func TestFaultsOfTheContext(t *testing.T) {
	s := newSender(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	slow, cancel := context.WithDeadlineCause(t.Context(), time.Unix(0, 0), errSlow)
	defer cancel()
	lost := &azservicebus.Error{Code: azservicebus.CodeConnectionLost}
	for _, c := range []struct {
		ctx  context.Context
		kind fault.Kind
		code string
	}{
		{canceled, fault.Canceled, "canceled"},
		{late, fault.Deadline, "deadline_exceeded"},
		{slow, fault.Unavailable, "queue_timeout"},
	} {
		if f := fault.From(s.queueFault(c.ctx, lost)); f.Kind != c.kind || f.Code != c.code {
			t.Errorf("%v: %v %s", context.Cause(c.ctx), f.Kind, f.Code)
		}
	}
	denied := fault.New(fault.Denied, "identity_denied", "No.")
	if err := s.queueFault(slow, fmt.Errorf("send: %w", final{denied})); err != error(denied) {
		t.Errorf("the credential's error became %v", err)
	}
}
