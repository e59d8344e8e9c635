package sessions

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// root is the directory of a session's files as its code sees it.
const root = "/mnt/data"

// splitPath returns the directory, empty for the root, and the name of the
// file at p, which is below the root or begins with it.
func splitPath(p string) (dir, name string, err error) {
	rel, err := relative(p)
	if err != nil {
		return "", "", err
	}
	if rel == "" || strings.HasSuffix(p, "/") {
		return "", "", badPath(p, "names no file")
	}
	dir, name = path.Split(rel)
	return strings.TrimSuffix(dir, "/"), name, nil
}

// relative returns p as seen from the root, empty for the root itself. What it
// lets pass can be sent, and stays below the root; it need not be a name that
// the pool takes, since code can make files of any name.
func relative(p string) (string, error) {
	rel := p
	if p == root || strings.HasPrefix(p, root+"/") {
		rel = strings.TrimPrefix(p, root)
	} else if strings.HasPrefix(p, "/") {
		return "", badPath(p, "is not below "+root)
	}
	rel = strings.Trim(rel, "/")
	if rel == "" || rel == "." {
		return "", nil
	}
	if !fs.ValidPath(rel) || strings.ContainsRune(rel, 0) || !utf8.ValidString(rel) {
		return "", badPath(p, "is not a path of plain names")
	}
	return rel, nil
}

// fileSigns are the characters that a name may hold beside letters, digits and
// spaces (Microsoft's page "Serverless code interpreter sessions").
const fileSigns = "-_.@$&=;,#%^() "

// checkUpload returns an error if the pool does not take a file of that name
// in that directory.
func checkUpload(dir, name string) error {
	strange := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && (r < '0' || r > '9') && !strings.ContainsRune(fileSigns, r)
	}
	if strings.ContainsFunc(name, strange) {
		return badPath(name, "holds a character that the pool takes in no file name: it may have letters, digits, spaces and "+strings.TrimSpace(fileSigns))
	}
	if dir := strings.ReplaceAll(dir, "/", ""); strings.ContainsFunc(dir, strange) || strings.Contains(dir, ".") {
		return badPath(dir, "holds a character that the pool takes in no directory name: it may have those of a file name but no dot")
	}
	return nil
}

func badPath(p, problem string) error {
	return &Error{kind: ErrBadRequest, Message: fmt.Sprintf("The path %.100q %s.", p, problem)}
}
