package sessions

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// publicCloud are the hosts of session pools in Azure's public cloud: those of
// code interpreters and those of custom containers.
var publicCloud = []string{"*.dynamicsessions.io", "*.azurecontainerapps.io"}

// parseEndpoint checks endpoint and returns it without the path of an
// operation, and with a slash at its end.
func parseEndpoint(endpoint string, allowed []string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("want https://host/path and nothing else")
	}
	if err := mayGetToken(u, allowed); err != nil {
		return nil, err
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	for _, operation := range []string{"/executions", "/python/execute", "/code/execute"} {
		path = strings.TrimSuffix(path, operation)
	}
	return u.Parse(path + "/")
}

// mayGetToken returns an error if a token may not be sent to u: whoever gets
// one can use all sessions of the pool.
func mayGetToken(u *url.URL, allowed []string) error {
	if loopback(u.Hostname()) && (u.Scheme == "https" || u.Scheme == "http") {
		return nil
	}
	if u.Scheme != "https" {
		return fmt.Errorf("a token may not be sent to %s://%s: want https", u.Scheme, u.Host)
	}
	if allowed == nil {
		allowed = publicCloud
	}
	host := strings.ToLower(u.Hostname())
	matches := func(pattern string) bool {
		pattern = strings.ToLower(pattern)
		suffix, wild := strings.CutPrefix(pattern, "*.")
		return wild && strings.HasSuffix(host, "."+suffix) || host == pattern
	}
	if !slices.ContainsFunc(allowed, matches) {
		return fmt.Errorf("a token may not be sent to %s, which is none of %s: if it is no typing error, and the pool is in another cloud, "+
			"name its host in Options.AllowedHosts", host, strings.Join(allowed, ", "))
	}
	return nil
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// withoutRedirects returns t such that it hands a redirect back in place of
// following it. Go's client drops the token only when the host name changes,
// so it would send it to another port, or in the clear.
func withoutRedirects(t policy.Transporter) policy.Transporter {
	var client http.Client
	switch t := t.(type) {
	case nil:
	case *http.Client:
		client = *t
	default:
		return t
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// scope returns audience as a scope.
func scope(audience string) string {
	if audience == "" {
		return DefaultAudience
	}
	return strings.TrimSuffix(strings.TrimSuffix(audience, "/.default"), "/") + "/.default"
}
