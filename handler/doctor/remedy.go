package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyless/handler/fault"
)

// Problem is the sort of thing that is wrong.
type Problem string

const (
	WrongSetting  Problem = "wrong_setting"
	NotSignedIn   Problem = "not_signed_in"  // nobody is signed in on this machine
	NoIdentity    Problem = "no_identity"    // the app has no managed identity, or not the one asked for
	NoToken       Problem = "no_token"       // there is an identity, and it got no token
	WrongAudience Problem = "wrong_audience" // the token is for another service
	TokenRefused  Problem = "token_refused"  // by the service, though the audience is right
	MissingRole   Problem = "missing_role"
	NotFound      Problem = "not_found" // no such deployment, container, queue or pool
	WrongEndpoint Problem = "wrong_endpoint"
	PrivateNet    Problem = "private_network"
	ClockSkew     Problem = "clock_skew"
	Unreachable   Problem = "unreachable"
	Busy          Problem = "busy" // throttled, or full
	Other         Problem = "other"
)

// Finding is what is wrong, and what mends it.
type Finding struct {
	Problem Problem `json:"problem"`
	Code    string  `json:"code"`  // the fault's
	Cause   string  `json:"cause"` // in words
	// Commands mend it, or show what is to be mended, in this order.
	Commands []string `json:"commands,omitempty"`
	// UpstreamID is the service's id of the request, for a support case.
	UpstreamID string `json:"upstream_request_id,omitempty"`
}

// patient is what is known of a service that does not work.
type patient struct {
	target  Target
	place   Place
	token   *Token // nil: there was none
	address address
	skew    time.Duration // of our clock, behind; 0: none to speak of
}

// noAnswer is the code of our own for a call that outlasted its time.
const noAnswer = "no_answer"

// remedies goes from a fault's code to what is wrong. The codes are those of
// packages identity, llm, interpreter, store and queue.
var remedies = map[string]struct {
	problem  Problem
	advice   string // besides the fault's own message
	commands func(*patient) []string
}{
	"identity_missing":     {NoIdentity, "", (*patient).identify},
	"identity_denied":      {NoToken, "", (*patient).unblock},
	"identity_throttled":   {Busy, "", nil},
	"identity_unavailable": {NoToken, "A new instance may need some seconds; if it stays so, restart the app.", (*patient).unblock},

	noAnswer: {Unreachable, "", (*patient).open},

	"model_unauthorized": {TokenRefused, "", (*patient).compareTenants},
	"model_forbidden":    {MissingRole, notYet, (*patient).grantOrOpen},
	"model_not_found":    {NotFound, "", (*patient).create},
	"model_throttled":    {Busy, "", (*patient).create},
	"model_unreachable":  {Unreachable, "", (*patient).open},
	"model_unavailable":  {Unreachable, "", nil},

	"pool_unauthorized": {TokenRefused, "The pool gives the same bare 401 for a missing role and for an api-version that it does not know. " + notYet, (*patient).grantPool},
	"pool_forbidden":    {MissingRole, notYet, (*patient).grantPool},
	"pool_not_found":    {NotFound, "", (*patient).create},
	"pool_refused":      {WrongEndpoint, "The pool understood the token, not the request: it may be a pool of custom containers, or one that does not know the api-version.", (*patient).look},
	"pool_full":         {Busy, "", nil},
	"pool_throttled":    {Busy, "", nil},
	"pool_unavailable":  {Unreachable, "", (*patient).open},

	"storage_role_missing":        {MissingRole, notYet, (*patient).grant},
	"storage_token_refused":       {TokenRefused, "", (*patient).compareTenants},
	"storage_network_denied":      {PrivateNet, "", (*patient).open},
	"storage_container_not_found": {NotFound, "", (*patient).create},
	"storage_account_not_found":   {WrongEndpoint, "", (*patient).look},
	"storage_account_disabled":    {NotFound, "", (*patient).look},
	"storage_unreachable":         {Unreachable, "", (*patient).open},
	"storage_unavailable":         {Unreachable, "", nil},
	"storage_throttled":           {Busy, "", nil},

	"queue_role_missing":        {MissingRole, notYet, (*patient).grant},
	"queue_not_found":           {NotFound, "", (*patient).create},
	"queue_namespace_not_found": {WrongEndpoint, "", (*patient).look},
	"queue_not_allowed":         {NotFound, "", (*patient).create},
	"queue_disabled":            {NotFound, "", (*patient).enable},
	"queue_unreachable":         {Unreachable, "", (*patient).open},
	"queue_timeout":             {Unreachable, "", (*patient).open},
	"queue_busy":                {Busy, "", nil},
	"queue_full":                {Busy, "", nil},
}

const notYet = "If the list shows the role already, it may not have reached the service: that takes up to ten minutes, and a restart of the app for a new token."

// diagnose says what err means. What is known beside its code may say more: a
// clock that is off makes each token look bad, as a wrong audience does.
func (p *patient) diagnose(err error) *Finding {
	f := classified(err, p.target.Name())
	r, known := remedies[f.Code]
	if !known {
		r.problem = Other
		if f.Kind == fault.Unavailable {
			r.problem = Unreachable
		}
	}
	d := &Finding{Problem: r.problem, Code: f.Code, Cause: f.Message, UpstreamID: f.UpstreamID}
	if p.explainAway(d) {
		return d
	}
	if r.advice != "" {
		d.Cause += " " + r.advice
	}
	if r.commands != nil {
		d.Commands = r.commands(p)
	}
	if d.Problem == NoIdentity && !p.place.inAzure() && p.place.selects("AzureCLICredential") {
		d.Problem = NotSignedIn
	}
	return d
}

// classified returns the fault in err. That time ran out in a check says that
// the service was silent.
func classified(err error, name string) *fault.Error {
	f := fault.From(err)
	if errors.Is(err, context.DeadlineExceeded) && f.Kind == fault.Deadline {
		return fault.New(fault.Unavailable, noAnswer, "%s did not answer within %v.", name, Limit).Because(err)
	}
	if f.Kind == fault.Internal && f.Code == "internal_error" {
		return fault.New(fault.Internal, "unknown", "%s failed in a way that this program does not know; its log has the whole error.", name).Because(err)
	}
	return f
}

// explainAway replaces d by a better explanation, if there is one.
func (p *patient) explainAway(d *Finding) bool {
	refused := d.Problem == TokenRefused || d.Problem == MissingRole
	silent := d.Problem == Unreachable || d.Problem == NotFound || d.Problem == WrongEndpoint
	switch {
	case refused && p.skew != 0:
		d.Problem, d.Commands = ClockSkew, []string{"timedatectl set-ntp true"}
		d.Cause = fmt.Sprintf("This machine's clock is %s, and the service refused the token. Set the clock.", p.off())
	case refused && p.wrongAudience():
		p.blameAudience(d)
	case (refused || silent) && p.target.misshapen() != "":
		d.Problem, d.Commands = WrongEndpoint, p.target.show()
		d.Cause = p.target.misshapen() + " " + d.Cause
	case silent && d.UpstreamID == "" && p.address.absent: // one that answered is there, behind a proxy
		d.Problem, d.Commands = WrongEndpoint, p.target.show()
		d.Cause = fmt.Sprintf("There is no host %s. Correct the endpoint, or, if it is private, give this network its DNS zone.", p.target.host())
	case (refused || silent) && p.address.private.IsValid():
		d.Problem, d.Commands = PrivateNet, []string{p.target.network()}
		d.Cause = fmt.Sprintf("%s The host %s has a private address, %s: it can be reached from its virtual network alone.", d.Cause, p.target.host(), p.address.private)
		if refused {
			d.Commands = append(p.grant(), d.Commands...)
		}
	default:
		return false
	}
	return true
}

// off says how far the clock is off.
func (p *patient) off() string {
	if p.skew > 0 {
		return p.skew.String() + " behind"
	}
	return (-p.skew).String() + " ahead"
}

func (p *patient) wrongAudience() bool {
	return p.token != nil && !slices.Contains(kinds[p.target.Kind].audiences, strings.TrimSuffix(p.token.Audience, "/"))
}

func (p *patient) blameAudience(d *Finding) {
	s := kinds[p.target.Kind]
	d.Problem = WrongAudience
	d.Cause = fmt.Sprintf("%s refused the token: it is for the audience %s, and must be for %s.", s.name, p.token.Audience, s.audiences[0])
	if s.setting != "" {
		d.Commands = []string{p.place.set(s.setting, s.audiences[0]+"/.default")}
	}
}

// identify returns the commands that give us an identity.
func (p *patient) identify() []string {
	switch {
	case !p.place.inAzure():
		return []string{"az login"}
	case p.place.env("AZURE_CLIENT_ID") != "":
		return []string{"az functionapp identity show " + p.place.app()}
	}
	return []string{"az functionapp identity assign " + p.place.app(), "az functionapp restart " + p.place.app()}
}

// unblock is for an identity endpoint that fails. Away from Azure it may be
// another cloud's metadata service, at the address of Azure's: its failure ends
// the search before the sign-ins of persons are looked at.
func (p *patient) unblock() []string {
	commands := p.identify()
	if !p.place.inAzure() && p.place.env("AZURE_TOKEN_CREDENTIALS") == "" {
		commands = append(commands, p.place.set("AZURE_TOKEN_CREDENTIALS", "dev"))
	}
	return commands
}

func (p *patient) grant() []string {
	return []string{p.target.assign(p.token), p.target.assigned(p.token)}
}

// compareTenants is for a token that should be good: it may be of a tenant
// that is not the resource's, or the service means that a role is missing.
func (p *patient) compareTenants() []string {
	return append([]string{"az account show --query tenantId --output tsv"}, p.grant()...)
}

// grantOrOpen is for a refusal that may be the role's or the network's fault.
func (p *patient) grantOrOpen() []string { return append(p.grant(), p.target.network()) }

func (p *patient) grantPool() []string { return append(p.grant(), p.target.show()...) }
func (p *patient) create() []string    { return p.target.make() }
func (p *patient) look() []string      { return p.target.show() }
func (p *patient) open() []string      { return []string{p.target.network()} }

func (p *patient) enable() []string {
	return []string{fmt.Sprintf(`az servicebus queue update --namespace-name %s --resource-group "%s" --name %s --status Active`,
		p.target.label(), p.target.namespace("resourceGroup"), p.target.part())}
}
