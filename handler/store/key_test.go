package store

import (
	"io/fs"
	"strings"
	"testing"
)

func TestCheckKey(t *testing.T) {
	for key, good := range map[string]bool{
		"jobs/0a1b.json":         true,
		"a":                      true,
		"A-b_c.d/e":              true,
		"":                       false,
		".":                      false,
		"..":                     false,
		"a/../b":                 false,
		"a/./b":                  false,
		"/a":                     false,
		"a/":                     false,
		"a//b":                   false,
		".hidden":                false,
		"a/.hidden":              false,
		"a./b":                   false,
		"a.":                     false,
		"a~b":                    false,
		"a\\b":                   false,
		"a b":                    false,
		"a\n":                    false,
		"a%2fb":                  false,
		"ä":                      false,
		"a\x00":                  false,
		"c:a":                    false,
		strings.Repeat("a", 200): true,
		strings.Repeat("a", 201): false,
	} {
		if err := checkKey(key); (err == nil) != good {
			t.Errorf("checkKey(%q) = %v, want good %t", key, err, good)
		}
	}
}

// FuzzCheckKey: a key that passes cannot leave a directory, nor be a name that
// Dir gives its temporary files.
func FuzzCheckKey(f *testing.F) {
	for _, seed := range []string{"jobs/0a1b.json", "a/../b", "a\\b", "a~b", "./a", "a/..b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if checkKey(key) != nil {
			return
		}
		if !fs.ValidPath(key) || key == "." || strings.Contains(key, tempMark) {
			t.Errorf("checkKey(%q) passes", key)
		}
	})
}
