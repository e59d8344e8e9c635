package identity

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"keyless/handler/fault"
)

// Config is what the environment does not tell [NewCredential]. Its zero value
// will do.
type Config struct {
	// ResourceGroup is the app's resource group, as it is to stand in the
	// commands that error messages tell the operator to run. Empty:
	// WEBSITE_RESOURCE_GROUP, which the Flex Consumption plan does not set
	// (github.com/Azure/azure-functions-host/issues/10441).
	ResourceGroup string
	// Transport carries the requests for tokens; nil: azcore's own.
	Transport policy.Transporter
}

// NewCredential returns the credential of the process, a DefaultAzureCredential
// made for the place that the environment tells of: in Azure it is pinned to
// managed identity; elsewhere it walks its chain, and `az login` is enough.
// AZURE_TOKEN_CREDENTIALS, where it is set, is obeyed in both.
//
// In Azure without IDENTITY_ENDPOINT there is no managed identity. That is no
// error here, so that the app can start and say so: each GetToken fails with
// the sentence at once. (azidentity would ask the metadata service of a virtual
// machine, which is not there, for more than a minute and a half.)
//
// The credential obeys its context, and retries for some seconds what may pass
// by itself. It never takes a token from MSAL's cache where it is pinned to
// managed identity: put a [Source] in front. Errors of GetToken are classified,
// but for a canceled context's.
func NewCredential(cfg Config) (azcore.TokenCredential, error) {
	if err := settle(); err != nil {
		return nil, err
	}
	at := locate(cfg.ResourceGroup)
	if at.azure && at.managed && !at.endpoint {
		return absent{at.noIdentity()}, nil
	}
	chain, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: azcore.ClientOptions{
			Transport: cfg.Transport,
			// GetToken retries. azcore would do so with the chain locked, and
			// each audience would wait for the retries of those before it.
			Retry: policy.RetryOptions{MaxRetries: -1, TryTimeout: tryTimeout},
		},
	})
	if err != nil {
		return nil, fault.New(fault.Misconfigured, "identity_missing",
			"%s=%q is not usable: name a credential such as ManagedIdentityCredential, or remove the setting.",
			selection, os.Getenv(selection)).Because(err)
	}
	return &credential{chain, at}, nil
}

// The pauses of a request that is retried: four, of 7.5 s together, so that all
// ends within fetchTimeout. The endpoint of a starting instance may refuse
// connections for a while (github.com/microsoft/azure-container-apps/issues/568).
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 4 * time.Second
)

// tryTimeout bounds one request, so that a connection that hangs gets a second
// try. A first token of 5.7 s is reported from App Service
// (github.com/dotnet/SqlClient/issues/1403).
const tryTimeout = 8 * time.Second

// skipCache is a claims parameter that asks for nothing. MSAL's managed
// identity client passes over its cache when it is given claims, and does not
// send them (apps/managedidentity/managedidentity.go, AcquireToken). The cache
// is one for the process, has no single flight, keeps a token that a service
// has refused, and gives nothing new until five minutes before a token's end;
// Source does better.
const skipCache = `{"access_token":{}}`

// credential is a DefaultAzureCredential that obeys its context and explains
// its failures.
type credential struct {
	chain *azidentity.DefaultAzureCredential
	at    place
}

var _ azcore.TokenCredential = (*credential)(nil)

// GetToken implements [azcore.TokenCredential].
func (c *credential) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if c.at.managed && opts.Claims == "" {
		opts.Claims = skipCache
	}
	var failure error
	for pause := firstPause; ; pause *= 2 {
		token, err := c.ask(ctx, opts)
		if err == nil {
			return token, nil
		}
		if failure == nil || ctx.Err() == nil { // that time ran out says less than what went wrong before
			failure = c.at.explain(ctx, opts, err)
		}
		if !retry(ctx, failure, pause) {
			return azcore.AccessToken{}, failure
		}
	}
}

// retry waits for pause, or for as long as the endpoint asks, if another try
// may help. It reports whether there is to be one.
func retry(ctx context.Context, failure error, pause time.Duration) bool {
	e := fault.From(failure)
	pause = max(pause, e.RetryAfter)
	if e.Kind != fault.Unavailable && e.Kind != fault.Throttled || pause > lastPause {
		return false
	}
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// ask asks the chain. While nobody has had a token yet, the chain serves one
// caller at a time and the others wait whatever their context says
// (azidentity's chained_token_credential.go); hence the goroutine. It ends soon
// after the context does, since the caller whose turn it is obeys its own.
func (c *credential) ask(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	type answer struct {
		token azcore.AccessToken
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		token, err := c.chain.GetToken(ctx, opts)
		if err == nil && token.Token == "" {
			err = errors.New("the answer holds no token")
		}
		answers <- answer{token, err}
	}()
	select {
	case a := <-answers:
		return a.token, a.err
	case <-ctx.Done():
		return azcore.AccessToken{}, ctx.Err()
	}
}

// absent is the credential of an app in Azure that has no managed identity.
type absent struct{ err *fault.Error }

var _ azcore.TokenCredential = absent{}

// GetToken implements [azcore.TokenCredential]. It always fails.
func (a absent) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, a.err
}
