package main

import (
	"fmt"
	"net"
	"net/http"
)

// onlyLoopback refuses requests that were made to another name than this
// machine's own. A web page can point its own name at 127.0.0.1 and so reach
// the agent from a browser; the Host header then has that name. The Functions
// host proxies with its own Host and keeps the caller's in X-Forwarded-Host.
func onlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ownName(r.Host) || !ownName(r.Header.Get("X-Forwarded-Host")) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, `{"title":"Forbidden","status":403,"code":"foreign_host","detail":"The local run answers to localhost alone."}`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownName reports whether hostport names this machine; an absent one does.
func ownName(hostport string) bool {
	name, _, err := net.SplitHostPort(hostport)
	if err != nil {
		name = hostport
	}
	switch name {
	case "", "localhost", "127.0.0.1", "::1", "[::1]":
		return true
	}
	return false
}
