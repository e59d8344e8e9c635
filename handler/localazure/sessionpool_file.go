package localazure

import (
	"cmp"
	"io/fs"
	"mime"
	"path"
	"time"
)

// poolFile is a file or directory of a session.
type poolFile struct {
	place
	info fs.FileInfo
}

// contentType returns the file's media type, by its name.
func (f poolFile) contentType() string {
	return cmp.Or(mime.TypeByExtension(path.Ext(f.name)), "application/octet-stream")
}

// flat returns the file in the shape from 2024-10-02-preview on. The service
// was seen to write the type in either case.
func (f poolFile) flat(v poolVersion, ids *poolIDs) any {
	type file struct {
		Ref         string    `json:"$id,omitempty"`
		Name        string    `json:"name"`
		Directory   *string   `json:"directory,omitempty"` // below the one that is listed
		Type        string    `json:"type"`
		ContentType string    `json:"contentType"`
		Size        int64     `json:"sizeInBytes"`
		Modified    time.Time `json:"lastModifiedAt"`
	}
	answer := file{Ref: ids.next(), Name: f.name, Type: "file", ContentType: f.contentType(), Size: f.info.Size(), Modified: f.info.ModTime().UTC()}
	if f.info.IsDir() { // as the specification's example has it
		answer.Type, answer.ContentType, answer.Size = "directory", "application/octet-stream", 4096
	}
	if v.recurses {
		answer.Directory = &f.dir
	}
	return answer
}

// nested returns the file in the older shape.
func (f poolFile) nested(ids *poolIDs) any {
	type properties struct {
		Ref      string    `json:"$id,omitempty"`
		Name     string    `json:"filename"`
		Size     int64     `json:"size"`
		Modified time.Time `json:"lastModifiedTime"`
	}
	return struct {
		Ref        string     `json:"$id,omitempty"`
		Properties properties `json:"properties"`
	}{ids.next(), properties{ids.next(), f.name, f.info.Size(), f.info.ModTime().UTC()}}
}

// fileList returns files as the version lists them. Nothing was seen of a list
// that has a second page.
func fileList(files []poolFile, v poolVersion, ids *poolIDs) any {
	ref, value := ids.next(), make([]any, 0, len(files))
	if v.nested {
		for _, f := range files {
			value = append(value, f.nested(ids))
		}
		return struct {
			Ref   string `json:"$id,omitempty"`
			Value []any  `json:"value"`
		}{ref, value}
	}
	for _, f := range files {
		value = append(value, f.flat(v, ids))
	}
	return struct {
		Ref      string  `json:"$id,omitempty"`
		Value    []any   `json:"value"`
		NextLink *string `json:"nextLink"`
	}{ref, value, nil}
}
