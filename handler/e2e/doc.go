// Package e2e tests the built binaries from outside, as the Functions host and
// its callers see them: the port in the environment, GET / until it answers,
// requests proxied or forwarded with the host's headers, lines on stdout and
// stderr, exit codes. At the other end of the wire stand package localazure's
// services, with real Python. It has no code but tests.
package e2e
