package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"keyless/handler/fault"
)

// Conditions of Service Bus's own, beside those of AMQP (Microsoft, "AMQP
// errors in Azure Service Bus").
const (
	condBusy     amqp.ErrCond = "com.microsoft:server-busy"
	condTimeout  amqp.ErrCond = "com.microsoft:timeout"
	condDisabled amqp.ErrCond = "com.microsoft:entity-disabled"
)

// busyPause is what a caller is told to wait when the service is busy, as
// long as Microsoft's .NET client waits then (ServiceBusRetryPolicy,
// ServerBusyBaseSleepTime).
const busyPause = 10 * time.Second

// shortPause is what a caller is told to wait when the connection failed.
const shortPause = 2 * time.Second

// queueFault classifies an error of azservicebus. All its errors pass through
// here. ctx is the operation's.
func (s *Sender) queueFault(ctx context.Context, err error) error {
	cause := fmt.Errorf("send to queue %s: %w", s.place, err)
	if f, ok := errors.AsType[final](err); ok {
		return f.cause // it says itself what it is
	}
	if ended := context.Cause(ctx); errors.Is(ended, errSlow) {
		return s.slow().Because(cause)
	} else if ended != nil {
		return errors.Join(ended, cause)
	}
	f := s.byType(err)
	if f == nil {
		return cause
	}
	return f.Because(cause)
}

// byType says what an error means, or nil. azservicebus makes errors of its
// own of some AMQP errors, which then cannot be unwrapped, and hands on others
// as they are.
func (s *Sender) byType(err error) *fault.Error {
	if errors.Is(err, azservicebus.ErrMessageTooLarge) {
		return tooLarge()
	}
	if e, ok := errors.AsType[*azservicebus.Error](err); ok {
		return s.byCode(e.Code)
	}
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return s.byCondition(e.Condition)
	}
	return nil
}

func (s *Sender) byCode(code azservicebus.Code) *fault.Error {
	switch code {
	case azservicebus.CodeUnauthorizedAccess:
		return s.denied()
	case azservicebus.CodeNotFound:
		return s.notFound()
	case azservicebus.CodeTimeout:
		return s.slow()
	case azservicebus.CodeConnectionLost, azservicebus.CodeClosed:
		return unreachable()
	}
	return nil
}

func (s *Sender) byCondition(condition amqp.ErrCond) *fault.Error {
	switch condition {
	case condBusy:
		f := fault.New(fault.Throttled, "queue_busy", "The queue has too much to do. Try again in a moment.")
		f.RetryAfter = busyPause
		return f
	case amqp.ErrCondResourceLimitExceeded:
		f := fault.New(fault.Unavailable, "queue_full", "The queue is full: more jobs wait than it can hold. Try again later.")
		f.RetryAfter = time.Minute
		return f
	case condDisabled:
		return fault.New(fault.Misconfigured, "queue_disabled", "The Service Bus queue %s is disabled. Enable it.", s.place)
	case amqp.ErrCondNotAllowed:
		return fault.New(fault.Misconfigured, "queue_not_allowed",
			"The Service Bus queue %s does not take such messages. It must have sessions enabled and be of the Standard tier or above.", s.place)
	case amqp.ErrCondUnauthorizedAccess:
		return s.denied()
	case amqp.ErrCondNotFound:
		return s.notFound()
	case amqp.ErrCondMessageSizeExceeded:
		return tooLarge()
	case condTimeout:
		return s.slow()
	}
	return unreachable()
}

func (s *Sender) denied() *fault.Error {
	return fault.New(fault.Denied, "queue_role_missing",
		"The app's identity may not send to the Service Bus queue %s. Give it the role Azure Service Bus Data Sender there; "+
			"a new role can take ten minutes to work.", s.place)
}

func (s *Sender) notFound() *fault.Error {
	return fault.New(fault.Misconfigured, "queue_not_found",
		"There is no Service Bus queue %s. Create it, or correct the setting that names it.", s.place)
}

// Codes of errors after which a message may be in the queue.
const (
	codeTimeout     = "queue_timeout"
	codeUnreachable = "queue_unreachable"
)

// uncertain says of a send's error, where it is so, that the message may be in
// the queue all the same.
func uncertain(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if ok && (f.Code == codeTimeout || f.Code == codeUnreachable) {
		f.Message += " Whether the job was taken is not known; it is safe to repeat the request with the same Idempotency-Key."
	}
	return err
}

func (s *Sender) slow() *fault.Error {
	f := fault.New(fault.Unavailable, codeTimeout, "The queue did not answer within %v.", s.cfg.Timeout)
	f.RetryAfter = shortPause
	return f
}

func unreachable() *fault.Error {
	f := fault.New(fault.Unavailable, codeUnreachable, "The connection to the queue failed.")
	f.RetryAfter = shortPause
	return f
}

func tooLarge() *fault.Error {
	return fault.New(fault.TooLarge, "queue_message_too_large", "The job is too large for the queue, which takes %d KiB.", MaxBody>>10)
}
