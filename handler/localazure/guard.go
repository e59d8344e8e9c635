package localazure

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
)

// OnlyLoopback refuses requests that were made to another name than this
// machine's own. A web page can point a name of its own at 127.0.0.1 and so
// reach what listens there from a browser; the Host header then has that name.
// The Functions host proxies with its own Host and keeps the caller's in
// X-Forwarded-Host.
func OnlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarded := r.Header.Get("X-Forwarded-Host")
		if !ownName(r.Host) || forwarded != "" && !ownName(forwarded) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, `{"title":"Forbidden","status":403,"code":"foreign_host","detail":"A local run answers to localhost alone."}`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownName reports whether hostport names this machine.
func ownName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
