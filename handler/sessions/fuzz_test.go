package sessions

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzDecodeFiles(f *testing.F) {
	f.Add([]byte(`{"$id":"1","value":[{"name":"a","type":"File","sizeInBytes":-1,"lastModifiedAt":"2024-08-06T16:21:22.2423944Z","directory":"../.."}],"nextLink":null}`))
	f.Add([]byte(`[{"filename":"a","properties":{"size":1}}]`))
	f.Add([]byte(`{"properties":{"filename":"a"}}`))
	f.Add([]byte(` [null]`))
	f.Add([]byte(`{"value":[{"name":"a","directory":"...."}]}`)) // a name like any other
	f.Fuzz(func(t *testing.T, data []byte) {
		files, _, err := decodeFiles(data, "dir")
		if err != nil && (!errors.Is(err, ErrProtocol) || files != nil) {
			t.Fatalf("files %v, error %v", files, err)
		}
		for _, file := range files {
			if file.Size < 0 || strings.HasPrefix(file.Directory, "/") || slices.Contains(strings.Split(file.Directory, "/"), "..") {
				t.Fatalf("file %+v", file)
			}
		}
	})
}

func FuzzDecodeSessions(f *testing.F) {
	f.Add([]byte(`{"sessions":[{"identifier":"a","expireAt":"2026-01-02T03:04:05Z"}],"value":[{"expiresAt":"2026-01-02T03:04:05Z"}],"nextLink":"x"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if infos, _, err := decodeSessions(data); err != nil && (!errors.Is(err, ErrProtocol) || infos != nil) {
			t.Fatalf("sessions %v, error %v", infos, err)
		}
	})
}

// FuzzNextPage holds that a link that a browser would follow to another host
// is refused.
func FuzzNextPage(f *testing.F) {
	for _, seed := range []string{"https://pool.example/files?skip=1", "//evil.example", "/files?skip=1", "?skip=1", "http://pool.example", ":", "https:/x?y=z"} {
		f.Add(seed)
	}
	c := &Client{endpoint: &url.URL{Scheme: "https", Host: "pool.example", Path: "/p/"}}
	f.Fuzz(func(t *testing.T, link string) {
		if _, err := c.nextPage(link); err != nil {
			return
		}
		u, err := c.endpoint.Parse(link)
		if err != nil || u.Scheme != "https" || u.Host != "" && !strings.EqualFold(u.Host, "pool.example") {
			t.Fatalf("%q leads to %s, %v", link, u, err)
		}
	})
}

// FuzzPath holds that what is sent stays below the root, as a server sees it
// that decodes the path.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"a", "dir/a b.txt", "/mnt/data/a", "../a", "a%2f..%2fb", "a/./b", "/mnt/data/../x", "%2e%2e", "a;b", "\xff"} {
		f.Add(seed)
	}
	c := &Client{endpoint: &url.URL{Scheme: "https", Host: "pool.example", Path: "/p/"}, version: DefaultAPIVersion}
	f.Fuzz(func(t *testing.T, p string) {
		var op operation
		dir, err := c.onFile(&op, p, "content")
		if err != nil {
			return
		}
		u := c.endpoint.JoinPath(op.path)
		rest, ok := strings.CutPrefix(u.EscapedPath(), "/p/files/")
		name, whole := strings.CutSuffix(rest, "/content")
		plain, err := url.PathUnescape(name)
		if !ok || !whole || err != nil || strings.Contains(name, "/") || plain == "" || plain == "." || plain == ".." || strings.Contains(plain, "/") || !utf8.ValidString(plain) {
			t.Fatalf("%q is sent as %s", p, u)
		}
		for part := range strings.SplitSeq(dir, "/") {
			if part == ".." || part == "." {
				t.Fatalf("%q is in %q", p, dir)
			}
		}
	})
}
