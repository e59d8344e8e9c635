// Package sessions is a client of the dynamic sessions REST API of Azure
// Container Apps: it runs Python in the sessions of a code interpreter pool,
// moves files in and out of them, and manages the sessions of a pool, also of
// one that runs custom containers.
//
// A session is named by an identifier that the caller makes up. The service
// starts one the first time an identifier is used, keeps its variables and
// files between executions, and ends it once it was left alone for the pool's
// cooldown period. Whoever holds a token for the pool and an identifier owns
// that session, so identifiers are to be unguessable: see [NewIdentifier] and
// [DeriveIdentifier]. This package never puts one into an error, a log or what
// it hands to [Options.OnCall].
//
// # Where to begin
//
// [New] makes a [Client] of a pool; it has a method for each operation.
// [Client.Session] makes a handle of one session, a [Session], which takes
// care of what a session needs beyond single calls: one execution at a time,
// word of a lost state, an end.
//
// What comes of [Client.Execute] is one of three: an error, when no outcome is
// known; an [Execution] that [Failed], with the class of its [Failure]; or one
// that [Succeeded]. Errors are [*Error] and are told apart by [errors.Is] with
// the Err variables.
//
// # Versions
//
// [Options.APIVersion] chooses the api-version, from 2024-02-02-preview on.
// The types are the same for all. What a version does not have is refused with
// [ErrUnsupported] before anything is sent.
//
// # On its own
//
// The package imports nothing of this program. It rests on azcore's pipeline,
// so [azcore.ClientOptions] say what they say for every Azure client:
// transport, retries, telemetry, logging, tracing.
//
// The wire contract is the one in the repository Azure/azure-rest-api-specs,
// folder specification/app/data-plane/Microsoft.App.DynamicSessions; where the
// service was seen to differ from it, a comment says so.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// DefaultAudience is the scope of a token that the service accepts.
const DefaultAudience = "https://dynamicsessions.io/.default"

// Options changes how a [Client] works. The zero value is good.
type Options struct {
	// ClientOptions are azcore's. APIVersion is [DefaultAPIVersion] if empty,
	// or with CustomContainer the version of that interface. Transport, if it
	// is an [*http.Client], is used without following redirects, since they
	// would carry the token elsewhere; any other kind of Transporter must see
	// to that itself. Nil is Go's default transport, which keeps only two idle
	// connections.
	azcore.ClientOptions
	// Audience is the scope to get tokens for, with or without "/.default".
	// Empty means [DefaultAudience].
	Audience string
	// AllowedHosts are the hosts that a token may be sent to, each a name or
	// "*." and a suffix; this very machine is always allowed. Nil means
	// *.dynamicsessions.io and *.azurecontainerapps.io, the public cloud. In
	// another cloud, name its own, such as *.azurecontainerapps.us.
	AllowedHosts []string
	// CustomContainer tells that the pool runs containers of one's own. Its
	// sessions are then managed by its other interface, and [Client.Forward]
	// reaches the containers.
	CustomContainer bool
	// OnCall, if not nil, is told of each operation that was sent, after its
	// last try, for logs and metrics. It is called by many goroutines.
	OnCall func(context.Context, Call)
}

// Call is an operation that was carried out, as [Options.OnCall] is told. It
// holds no code, output, file name or identifier.
type Call struct {
	Operation string        // such as "execute" or "list files"
	Status    int           // of the HTTP answer; 0 if there was none
	Duration  time.Duration // until the answer was there; of a download, until it began
	// Timings are the service's own, from headers such as
	// X-Ms-Overall-Execution-Time, by the header's name. They are text, since
	// their units vary: 5011, 5010.000000 and 42m56.97s were all seen.
	Timings map[string]string
}

// Client talks to one session pool. It is safe for concurrent use.
type Client struct {
	endpoint *url.URL
	pipeline runtime.Pipeline
	retry    policy.RetryOptions
	version  string
	custom   bool
	onCall   func(context.Context, Call)
	// otherShape tells that the pool takes the body that its version is not
	// known for; see submit.
	otherShape atomic.Bool
}

// New returns a client of the pool at endpoint, which is the pool's
// poolManagementEndpoint:
//
//	https://<region>.dynamicsessions.io/subscriptions/<id>/resourceGroups/<group>/sessionPools/<pool>
//	https://<pool>.<environment>.<region>.azurecontainerapps.io
//
// the latter of a pool of custom containers. It has to be https and one of
// [Options.AllowedHosts], or this very machine. The path of an operation at
// its end, as some samples have it, is cut off. New makes no request.
func New(endpoint string, cred azcore.TokenCredential, options *Options) (*Client, error) {
	var o Options
	if options != nil {
		o = *options
	}
	base, err := parseEndpoint(endpoint, o.AllowedHosts)
	if err != nil {
		return nil, fmt.Errorf("session pool endpoint: %w", err)
	}
	if cred == nil {
		return nil, errors.New("session pool: no credential")
	}
	version, err := chooseVersion(o)
	if err != nil {
		return nil, fmt.Errorf("session pool: %w", err)
	}
	o.APIVersion = "" // each request says it, but for those that go to a container
	o.Transport = withoutRedirects(o.Transport)
	auth := runtime.NewBearerTokenPolicy(credential{cred}, []string{scope(o.Audience)}, &policy.BearerTokenOptions{
		InsecureAllowCredentialWithHTTP: base.Scheme == "http", // parseEndpoint saw that it is loopback
	})
	pipeline := runtime.NewPipeline("sessions", "v0.2.0", runtime.PipelineOptions{
		AllowedQueryParameters: []string{"api-version"},
		PerRetry:               []policy.Policy{auth, freshBody{}, wholeAnswer{}},
	}, &o.ClientOptions)
	return &Client{endpoint: base, pipeline: pipeline, retry: o.Retry, version: version, custom: o.CustomContainer, onCall: o.OnCall}, nil
}

// credential marks the errors of a credential, so that they are not taken for
// the pool's.
type credential struct{ azcore.TokenCredential }

func (c credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.TokenCredential.GetToken(ctx, o)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrToken, err)
	}
	return token, err
}
