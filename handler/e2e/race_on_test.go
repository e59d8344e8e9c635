//go:build race

package e2e

// buildFlags build the binaries as the tests themselves were built.
var buildFlags = []string{"-race"}
