package queue_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"keyless/handler/fault"
	"keyless/handler/localazure/bus"
	"keyless/handler/queue"
)

// What the service says about a message, and how often it is asked.
func TestRejections(t *testing.T) {
	for condition, c := range map[string]struct {
		kind  fault.Kind
		code  string
		tries int
	}{
		"com.microsoft:server-busy":     {fault.Throttled, "queue_busy", 4},
		"amqp:resource-limit-exceeded":  {fault.Unavailable, "queue_full", 1},
		"com.microsoft:entity-disabled": {fault.Misconfigured, "queue_disabled", 2}, // once more with a new client
		"amqp:not-allowed":              {fault.Misconfigured, "queue_not_allowed", 2},
		"amqp:unauthorized-access":      {fault.Denied, "queue_role_missing", 2},
		"amqp:internal-error":           {fault.Unavailable, "queue_unreachable", 4},
	} {
		t.Run(condition, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, tries := newRig(t), 0
				r.OnSend(func(string, string) bus.SendFault {
					tries++
					return bus.SendFault{Condition: condition}
				})
				s := r.sender()
				want(t, s.Send(t.Context(), message("j-1", "c-1")), c.kind, c.code)
				if tries != c.tries {
					t.Errorf("%d tries, want %d", tries, c.tries)
				}
				r.OnSend(nil)
				if err := s.Send(t.Context(), message("j-1", "c-1")); err != nil {
					t.Errorf("when all is well again: %v", err)
				}
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	refuse := func(status int) func(*rig) {
		return func(r *rig) { r.OnToken(func(string) bus.TokenFault { return bus.TokenFault{Status: status} }) }
	}
	for name, c := range map[string]struct {
		set    func(*rig)
		change func(*queue.Config)
		kind   fault.Kind
		code   string
	}{
		"no role":     {set: refuse(401), kind: fault.Denied, code: "queue_role_missing"},
		"not found":   {set: refuse(404), kind: fault.Misconfigured, code: "queue_not_found"},
		"no queue":    {change: func(c *queue.Config) { c.Queue = "other" }, kind: fault.Misconfigured, code: "queue_not_found"},
		"wrong token": {change: func(c *queue.Config) { c.Credential = token("bad") }, kind: fault.Denied, code: "queue_role_missing"},
		"no namespace": {change: func(c *queue.Config) {
			c.Dial = func(context.Context) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
			}
		}, kind: fault.Misconfigured, code: "queue_namespace_not_found"},
		"no network": {change: func(c *queue.Config) {
			c.Dial = func(context.Context) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: errors.New("no route")}
			}
		}, kind: fault.Unavailable, code: "queue_unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				if c.set != nil {
					c.set(r)
				}
				if c.change == nil {
					c.change = func(*queue.Config) {}
				}
				s := r.sender(c.change)
				want(t, s.Send(t.Context(), message("j-1", "c-1")), c.kind, c.code)
				want(t, s.Check(t.Context()), c.kind, c.code)
				want(t, s.Checked(), c.kind, c.code)
				if n := r.Counts(jobs).Accepted; n != 0 {
					t.Errorf("%d accepted", n)
				}
			})
		})
	}
}

// A role that has just been given works at the next send.
func TestRoleGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.OnToken(func(string) bus.TokenFault { return bus.TokenFault{Status: 401} })
		s := r.sender()
		want(t, s.Send(t.Context(), message("j-1", "c-1")), fault.Denied, "queue_role_missing")
		r.OnToken(nil)
		if err := s.Send(t.Context(), message("j-1", "c-1")); err != nil {
			t.Error(err)
		}
	})
}

func TestCredentialFaultsPassThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		denied := fault.New(fault.Denied, "identity_denied", "No token.").Because(&net.OpError{Op: "dial", Err: errors.New("refused")})
		asked := 0
		s := r.sender(func(c *queue.Config) {
			c.Credential = credentialFunc(func(context.Context) (azcore.AccessToken, error) {
				asked++
				return azcore.AccessToken{}, denied
			})
		})
		if err := s.Send(t.Context(), message("j-1", "c-1")); err != error(denied) {
			t.Errorf("got %v", err)
		}
		if asked > 2 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// A token that does not come is reported as that, within the time.
func TestCredentialHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		missing := fault.New(fault.Unavailable, "identity_unavailable", "No token.")
		s := newRig(t).sender(func(c *queue.Config) {
			c.Credential = credentialFunc(func(ctx context.Context) (azcore.AccessToken, error) {
				<-ctx.Done()
				return azcore.AccessToken{}, missing
			})
		})
		began := time.Now()
		if err := s.Send(t.Context(), message("j-1", "c-1")); err != error(missing) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
