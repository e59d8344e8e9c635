// Package doctor finds out why a service does not work, and says what mends it.
//
// Package app gives it one [Check] a service: its settings, the audience of its
// token, and one harmless call by the same client that the app uses. [Run] does
// the checks side by side, each as the app would: settings, token, call. What
// fails has already been classified (package fault); one table, in remedy.go,
// goes from that code to a cause in words and the az command with the real
// names in it. The [Report] is text for people and JSON for programs.
//
// No token stands in a report: of each only what its claims say.
package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/fault"
)

// Limit bounds a run. All checks end within it, so that a report is there in
// less than ten seconds however many services are dead. A managed identity
// endpoint that refuses connections is asked for 7.5 seconds (package identity).
const Limit = 8500 * time.Millisecond

// Check is how one service is examined.
type Check struct {
	Target   Target
	Settings []Setting
	// Scope is what a token for the service is asked for with; empty: it wants
	// none.
	Scope string
	// Call makes one call that changes nothing. Nil: a setting that it needs is
	// missing, or the service is not used.
	Call func(context.Context) error
	// Err is why the service's client could not be made; nil otherwise.
	Err error
}

// Setting is a setting as it was found. Problem is empty if it is well formed.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Examination is all that a run needs. Its zero values are those of a healthy
// Azure but for Checks and Credential.
type Examination struct {
	Version    string
	Checks     []Check
	Settings   []Setting // problems of settings that belong to no service
	Credential azcore.TokenCredential
	Place      Place
	// Resolve looks a host up; nil: as the system does.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Now     func() time.Time // nil: time.Now
}

// Status tells how a service is.
type Status string

const (
	Healthy Status = "healthy"
	Sick    Status = "sick"
	Unused  Status = "unused" // no setting names it, and the app does without
)

// Report is what a run found.
type Report struct {
	Healthy     bool         `json:"healthy"` // no service is sick and no setting is wrong
	Version     string       `json:"version"`
	Settings    []Setting    `json:"settings,omitempty"` // wrong ones that belong to no service
	Credentials []Credential `json:"credentials"`        // in the order in which they are tried
	Services    []Service    `json:"services"`
}

// Service is what was found of one service.
type Service struct {
	Name     string    `json:"name"`
	Status   Status    `json:"status"`
	Settings []Setting `json:"settings"`
	Token    *Token    `json:"token,omitempty"`
	// CallMS is how long the call took, in milliseconds; 0: none was made.
	CallMS  int64    `json:"call_ms,omitempty"`
	Finding *Finding `json:"finding,omitempty"`
}

// Run makes all checks, within [Limit] or ctx, and reports. It is safe for
// concurrent use.
func Run(ctx context.Context, e Examination) Report {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	if e.Resolve == nil {
		e.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	services := make([]Service, len(e.Checks))
	failures := make([]error, len(e.Checks))
	var all sync.WaitGroup
	for i, c := range e.Checks {
		all.Go(func() { services[i], failures[i] = e.examine(ctx, c) })
	}
	all.Wait()
	return e.report(services, failures)
}

func (e *Examination) report(services []Service, failures []error) Report {
	r := Report{Healthy: len(e.Settings) == 0, Version: e.Version, Settings: e.Settings, Services: services}
	var used *Token
	for _, s := range services {
		r.Healthy = r.Healthy && s.Status != Sick
		if s.Token != nil && used == nil {
			used = s.Token
		}
	}
	r.Credentials = e.Place.chain(used, errors.Join(failures...))
	return r
}

// examine makes one check. The error is why there was no token, if so. A token
// is got even where a setting is wrong, since the way to it can be.
func (e *Examination) examine(ctx context.Context, c Check) (s Service, noToken error) {
	s = Service{Name: c.Target.Name(), Settings: c.Settings, Status: Sick, Finding: c.unusable()}
	if s.Finding == nil && c.Call == nil {
		s.Status = Unused
		return s, nil
	}
	p := &patient{target: c.Target, place: e.Place}
	if c.Scope != "" {
		p.token, noToken = e.token(ctx, c.Scope)
		s.Token = p.token
	}
	switch {
	case s.Finding != nil:
	case noToken != nil:
		s.Finding = p.diagnose(noToken)
	default:
		s.CallMS, s.Finding = e.call(ctx, c, p)
	}
	if s.Finding == nil {
		s.Status = Healthy
	}
	return s, noToken
}

// call makes the check's call. It returns how long that took, in milliseconds
// and at least one, and why it failed, or nil.
func (e *Examination) call(ctx context.Context, c Check, p *patient) (int64, *Finding) {
	address := e.lookUp(ctx, c.Target)
	clock := &clock{now: e.Now}
	start := time.Now()
	err := c.Call(clock.watch(ctx))
	took := max(1, time.Since(start).Milliseconds())
	if err == nil {
		return took, nil
	}
	p.address, p.skew = <-address, clock.skew(p.token)
	return took, p.diagnose(err)
}

// unusable returns what is wrong with the settings, or nil.
func (c Check) unusable() *Finding {
	cause := ""
	for _, s := range c.Settings {
		if s.Problem != "" && cause == "" {
			cause = s.Name + " " + s.Problem + "."
		}
	}
	if cause == "" && c.Err != nil {
		cause = sentence(c.Err)
	}
	if cause == "" {
		return nil
	}
	return &Finding{Problem: WrongSetting, Code: "setting_wrong", Cause: cause, Commands: c.Target.show()}
}

// sentence returns the words of err that may be shown.
func sentence(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Message
	}
	return err.Error()
}

func (e *Examination) token(ctx context.Context, scope string) (*Token, error) {
	token, err := e.Credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	switch {
	case err == nil:
		t := inspect(token, scope)
		t.Credential = e.Place.giver(t)
		return &t, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.New(fault.Unavailable, "identity_unavailable", "No token: nothing gave one within %v.", Limit).Because(err)
	}
	return nil, err
}

// lookUp finds out, beside the call, where the target is.
func (e *Examination) lookUp(ctx context.Context, t Target) <-chan address {
	found := make(chan address, 1)
	if t.Elsewhere {
		found <- address{}
		return found
	}
	go func() {
		addrs, err := e.Resolve(ctx, t.host())
		found <- addressOf(addrs, err)
	}()
	return found
}

// address is where a host was found to be.
type address struct {
	absent  bool       // there is no such name
	private netip.Addr // an address of a private network; else invalid
}

func addressOf(addrs []netip.Addr, err error) address {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return address{absent: dns.IsNotFound}
	}
	for _, a := range addrs {
		if a.IsPrivate() {
			return address{private: a}
		}
	}
	return address{}
}
