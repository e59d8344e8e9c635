package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"keyless/handler/fault"
)

// editTries is how often an edit is tried when others are faster. It is
// plenty: each time, one of them has got its edit through.
const editTries = 20

// Edit changes the record by fn, against its present content, without a lock.
// fn returns the new content, or nil to leave it; its error ends the edit with
// nothing written. fn may be called several times, and may then see that the
// change was made already, by itself. It returns fault.NotFound
// (record_not_found), fault.Conflict (record_busy) if others were always
// faster, or fn's error.
func (b *Blob) Edit(ctx context.Context, key string, fn func(data []byte) ([]byte, error)) error {
	return edit(ctx, func() (bool, error) {
		data, tag, err := b.getTagged(ctx, key)
		if err != nil {
			return false, err
		}
		if data, err = fn(data); err != nil || data == nil {
			return false, err
		}
		err = put(ctx, b.container.NewBlockBlobClient(key), data, nil, unchanged(tag))
		if err == nil || bloberror.HasCode(err, bloberror.ConditionNotMet) {
			return err != nil, nil
		}
		return false, b.blobFault(ctx, "edit", key, err)
	})
}

func unchanged(tag *azcore.ETag) *blob.AccessConditions {
	return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: tag}}
}

// Edit changes the record by fn, against its present content. It is as for
// [Blob.Edit], but holds the record's lock while fn runs.
func (d *Dir) Edit(ctx context.Context, key string, fn func(data []byte) ([]byte, error)) error {
	return edit(ctx, func() (bool, error) {
		f, err := d.lock(ctx, key)
		if fault.Is(err, fault.Conflict) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return false, update(ctx, f, func(_ context.Context, data []byte) ([]byte, error) {
			data, err := fn(data)
			if err != nil {
				return nil, err
			}
			return data, nil
		})
	})
}

// edit calls try until nobody was faster.
func edit(ctx context.Context, try func() (again bool, err error)) error {
	for range editTries {
		again, err := try()
		if err != nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(rand.Int64N(int64(20 * time.Millisecond)))):
		}
	}
	return busy()
}
