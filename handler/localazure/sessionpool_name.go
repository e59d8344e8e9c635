package localazure

import (
	"path"
	"strings"
	"unicode"
)

// mountPoint is where the code sees its files. Clients may put it before a
// path.
const mountPoint = "/mnt/data"

// maxFileName is how long a name may be, in bytes: what file systems take.
const maxFileName = 255

// place is where a file is: a directory below [mountPoint], "" for itself, and
// the file's name in it; a name of "" stands for the directory.
type place struct{ dir, name string }

// inRoot returns the place's path in a session's directory.
func (l place) inRoot() string { return path.Join(dataDir, l.dir, l.name) }

// readDir returns the directory that a query's path means.
func readDir(query string) (string, *poolError) {
	dir := query
	if rest, ok := strings.CutPrefix(query, mountPoint); ok && (rest == "" || rest[0] == '/') {
		dir = rest
	}
	dir = strings.Trim(dir, "/")
	if dir == "" {
		return "", nil
	}
	for segment := range strings.SplitSeq(dir, "/") {
		if !validName(segment) || strings.Contains(segment, ".") {
			return "", poolInvalid("path", "The path has a character that is not allowed, or an empty part.")
		}
	}
	return dir, nil
}

// readPlace returns the place that a file's name in a URL and a query's path
// mean. In the older versions the name may have directories before it. The
// name itself is not held to the rules of an upload: code gives files any name.
func readPlace(c *poolCall) (place, *poolError) {
	name := c.r.PathValue("file")
	query := c.r.URL.Query().Get("path")
	if at := strings.LastIndex(name, "/"); c.version.nested && at >= 0 {
		query, name = path.Join(query, name[:at]), name[at+1:]
	}
	dir, problem := readDir(query)
	if problem != nil {
		return place{}, problem
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		return place{}, poolInvalid("name", "The file's name is not valid.")
	}
	return place{dir, name}, nil
}

// validName reports whether a file of this name may be uploaded
// (learn.microsoft.com/azure/container-apps/sessions-code-interpreter, "Work
// with files").
func validName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > maxFileName {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		switch {
		case r == unicode.ReplacementChar: // of bytes that are not UTF-8
			return true
		case unicode.IsLetter(r), '0' <= r && r <= '9':
			return false
		}
		return !strings.ContainsRune("-_ .@$&=;,#%^()", r)
	})
}
