//go:build !linux

package python

const parentVariable = ""

func playParent() {}
