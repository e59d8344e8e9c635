package store

import (
	"regexp"
	"strings"

	"keyless/handler/fault"
)

// maxKey is the most bytes in a key. A blob's name may have 1,024 characters
// (Microsoft, "Naming and referencing containers, blobs, and metadata"), a
// file's name 255 on common file systems; this leaves room for both.
const maxKey = 200

// keyForm is segments of letters, digits, dots, dashes and underscores, parted
// by slashes. It has no tilde, which Dir uses in names of its own.
var keyForm = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)

// checkKey returns fault.Invalid unless key is fit for both stores. A segment
// may not begin or end with a dot: "." and ".." mean something else to a file
// system, and Blob Storage and Windows mishandle a trailing one.
func checkKey(key string) error {
	dotted := "/" + key + "/"
	if len(key) > maxKey || !keyForm.MatchString(key) || strings.Contains(dotted, "/.") || strings.Contains(dotted, "./") {
		return fault.New(fault.Invalid, "record_key_invalid", "The record's name is not one that can be stored.")
	}
	return nil
}
