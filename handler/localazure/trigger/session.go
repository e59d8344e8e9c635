package trigger

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// drain handles the messages of a session, one at a time and in order, until
// none has come for a while or the session is lost.
func (p *Pump) drain(ctx context.Context, session *azservicebus.SessionReceiver) {
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		defer cancel()
		_ = session.Close(bounded) // if it fails, the lock runs out
	}()
	for {
		bounded, cancel := context.WithTimeout(ctx, p.cfg.SessionIdleTimeout)
		messages, err := session.ReceiveMessages(bounded, 1, nil)
		cancel()
		if err != nil && !idle(err) && ctx.Err() == nil {
			p.cfg.Log.Warn("the trigger lost a session", "session", session.SessionID(), "error", err)
		}
		if len(messages) == 0 || !p.handle(ctx, session, messages[0]) {
			return
		}
	}
}

// handle has one message handled and settles it. It reports whether the
// session can go on. Like the host it does not stop the handler when the lock
// is lost: another delivery may run beside this one.
func (p *Pump) handle(ctx context.Context, session *azservicebus.SessionReceiver, m *azservicebus.ReceivedMessage) bool {
	log := p.cfg.Log.With("function", p.cfg.Function, "message", m.MessageID, "session", session.SessionID(), "delivery", m.DeliveryCount)
	began := time.Now()
	stop := p.renew(ctx, session)
	failure := p.invoke(ctx, m)
	stop()
	log = log.With("ms", time.Since(began).Milliseconds())

	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	var err error
	if failure == nil {
		err = session.CompleteMessage(bounded, m, nil)
	} else {
		log.Warn("the function failed", "error", failure)
		err = session.AbandonMessage(bounded, m, nil)
	}
	if err != nil {
		log.Warn("the message could not be settled and comes again", "error", err)
	}
	return err == nil
}

// leastRenewal is the least time between renewals, should the broker's clock be
// behind.
const leastRenewal = 100 * time.Millisecond

// renew keeps the session locked until stop is called or MaxAutoLockRenewal has
// passed. A message of a session has no lock of its own to renew.
func (p *Pump) renew(ctx context.Context, session *azservicebus.SessionReceiver) (stop func()) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.MaxAutoLockRenewal)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			wait(ctx, max(time.Until(session.LockedUntil())/2, leastRenewal))
			if ctx.Err() != nil {
				return
			}
			if err := session.RenewSessionLock(ctx, nil); err != nil && ctx.Err() == nil {
				p.cfg.Log.Warn("the session's lock is lost", "session", session.SessionID(), "error", err)
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
