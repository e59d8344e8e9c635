package queue

import (
	"net"
	"net/url"
	"strings"

	"keyless/handler/fault"
)

// emulatorHost returns the host of the emulator, or the reason why the
// connection string cannot be had. azservicebus switches TLS off for whatever
// host stands in a string with UseDevelopmentEmulator=true
// (github.com/Azure/azure-sdk-for-go/issues/22898), so the host is checked
// here. No error quotes the string: there is a key in it.
func emulatorHost(cfg Config) (string, error) {
	refuse := func(problem string) (string, error) {
		return "", fault.New(fault.Misconfigured, "queue_emulator_refused", "The Service Bus connection string is refused: %s.", problem)
	}
	if !cfg.Local {
		return refuse("only a local run may use one; deployed, the app goes by its identity")
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(cfg.EmulatorConnection, ";") {
		key, value, _ := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if _, twice := fields[key]; twice && key != "" {
			return refuse("a field stands in it twice")
		}
		fields[key] = strings.TrimSpace(value)
	}
	if !strings.EqualFold(fields["usedevelopmentemulator"], "true") {
		return refuse("it is not an emulator's, with UseDevelopmentEmulator=true")
	}
	endpoint, err := url.Parse(fields["endpoint"])
	if err != nil || endpoint.Scheme != "sb" || endpoint.User != nil || !loopback(endpoint.Hostname()) {
		return refuse("its endpoint is not on this machine, like sb://127.0.0.1:5672")
	}
	return endpoint.Host, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
