package agent

import (
	"fmt"
	"unicode/utf8"
)

// clip returns s in at most limit bytes and a short note, keeping the start
// and the end: a traceback's point is in its last line.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	head := validPrefix(s, limit*2/3)
	tail := validSuffix(s, limit-len(head))
	return fmt.Sprintf("%s\n[%d bytes left out]\n%s", head, len(s)-len(head)-len(tail), tail)
}

// validPrefix returns at most n bytes of the start of s, cut between runes.
func validPrefix(s string, n int) string {
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:min(n, len(s))]
}

// validSuffix returns at most n bytes of the end of s, cut between runes.
func validSuffix(s string, n int) string {
	i := max(0, len(s)-n)
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return s[i:]
}
