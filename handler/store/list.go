package store

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"keyless/handler/fault"
)

// List returns up to limit keys that lie directly below folder, in order, and
// where to go on: the next call's cursor, empty after the last page. The first
// page's cursor is empty too; others are opaque. A page may be short. It
// returns fault.Invalid (record_cursor_invalid) for a cursor that is no use.
func (b *Blob) List(ctx context.Context, folder, cursor string, limit int) (keys []string, next string, err error) {
	if err := checkKey(folder); err != nil {
		return nil, "", err
	}
	options := &container.ListBlobsFlatOptions{Prefix: to.Ptr(folder + "/"), MaxResults: to.Ptr(int32(limit))}
	if cursor != "" {
		options.Marker = &cursor
	}
	page, err := b.container.NewListBlobsFlatPager(options).NextPage(ctx)
	if bloberror.HasCode(err, bloberror.InvalidQueryParameterValue, bloberror.OutOfRangeInput, bloberror.OutOfRangeQueryParameterValue) {
		return nil, "", wrongCursor().Because(err)
	}
	if err != nil {
		return nil, "", b.blobFault(ctx, "list", folder, err)
	}
	for _, item := range page.Segment.BlobItems {
		keys = append(keys, *item.Name)
	}
	if page.NextMarker != nil {
		next = *page.NextMarker
	}
	return keys, next, nil
}

// List is as for [Blob.List].
func (d *Dir) List(ctx context.Context, folder, cursor string, limit int) (keys []string, next string, err error) {
	if err := start(ctx, folder); err != nil {
		return nil, "", err
	}
	entries, err := fs.ReadDir(d.root.FS(), folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", dirFault("list", folder, err)
	}
	for _, entry := range entries { // in order of name
		if entry.Type().IsRegular() && !strings.Contains(entry.Name(), tempMark) {
			keys = append(keys, path.Join(folder, entry.Name()))
		}
	}
	if cursor != "" {
		at, found := slices.BinarySearch(keys, cursor)
		if !found && checkKey(cursor) != nil {
			return nil, "", wrongCursor()
		}
		keys = keys[at:]
	}
	if len(keys) > limit {
		keys, next = keys[:limit], keys[limit]
	}
	return keys, next, nil
}

func wrongCursor() *fault.Error {
	return fault.New(fault.Invalid, "record_cursor_invalid", "The cursor is not one that an earlier page gave.")
}
