package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"

	"keyless/handler/fault"
)

// leasedBlob is a record of a Blob that we hold a lease on.
//
// The lease's id, which is ours alone, is the condition of each write. It
// fences us off once the lease is lost, and makes repeating a write harmless:
// nobody else can have written since.
type leasedBlob struct {
	store   *Blob
	key     string
	client  *blockblob.Client
	lease   *lease.BlobClient
	stop    func() // ends the renewal and waits for its end
	removed bool   // the blob is gone, and the lease with it
}

var _ held = (*leasedBlob)(nil)

// lock takes a lease on the record and starts to renew it. The context that it
// returns ends, with the reason as its cause, when the lease is lost.
func (b *Blob) lock(ctx context.Context, key string) (context.Context, *leasedBlob, error) {
	if err := checkKey(key); err != nil {
		return nil, nil, err
	}
	client := b.container.NewBlockBlobClient(key)
	id, err := lease.NewBlobClient(client, nil)
	if err != nil {
		return nil, nil, err
	}
	l := &leasedBlob{store: b, key: key, client: client, lease: id, stop: func() {}}
	began := time.Now()
	if _, err := id.AcquireLease(ctx, int32(b.lease/time.Second), nil); err != nil {
		if _, answered := errors.AsType[*azcore.ResponseError](err); !answered {
			unlock(ctx, l) // we may have got it, and never heard
		}
		return nil, nil, b.blobFault(ctx, "lock", key, err)
	}
	held, lost := context.WithCancelCause(ctx)
	// The renewal goes on when the caller has gone: there is work to write.
	renewing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var renewal sync.WaitGroup
	renewal.Go(func() { lost(renew(renewing, b.lease, began, l.renewOnce)) })
	l.stop = func() {
		cancel()
		renewal.Wait()
	}
	return held, l, nil
}

func (l *leasedBlob) read(ctx context.Context) ([]byte, error) {
	return l.store.Get(ctx, l.key)
}

func (l *leasedBlob) write(ctx context.Context, data []byte) error {
	if err := put(ctx, l.client, data, nil, l.condition()); err != nil {
		return l.store.blobFault(ctx, "write", l.key, err)
	}
	return nil
}

func (l *leasedBlob) remove(ctx context.Context) error {
	_, err := l.client.Delete(ctx, &blob.DeleteOptions{AccessConditions: l.condition()})
	// Not found is the answer to a retry whose first try was heard.
	if err != nil && !bloberror.HasCode(err, bloberror.BlobNotFound) {
		return l.store.blobFault(ctx, "remove", l.key, err)
	}
	l.removed = true
	return nil
}

func (l *leasedBlob) unlock(ctx context.Context) {
	l.stop()
	if l.removed {
		return
	}
	_, err := l.lease.ReleaseLease(ctx, nil)
	// Gone already, if this repeats a try whose answer was lost, or if the
	// lease was.
	if err == nil || bloberror.HasCode(err, leaseGone...) {
		return
	}
	l.store.log.WarnContext(ctx, "record stays locked until its lease ends",
		"key", l.key, "lease", l.store.lease, "error", l.store.blobFault(ctx, "unlock", l.key, err))
}

func (l *leasedBlob) condition() *blob.AccessConditions {
	return &blob.AccessConditions{LeaseAccessConditions: &blob.LeaseAccessConditions{LeaseID: l.lease.LeaseID()}}
}

func (l *leasedBlob) renewOnce(ctx context.Context) error {
	if _, err := l.lease.RenewLease(ctx, nil); err != nil {
		return l.store.blobFault(ctx, "renew the lock of", l.key, err)
	}
	return nil
}

// renew keeps a lease of the given length, asked for at began, by calling once
// at each third of its length. It returns nil when ctx ends, and an error when
// the lease is lost: once says so, or has failed otherwise until the lease ran
// out.
func renew(ctx context.Context, length time.Duration, began time.Time, once func(ctx context.Context) error) error {
	expires := began.Add(length) // counted from the asking, so never too late
	for {
		// Some way short of a third, so that many leases do not renew in step.
		wait := time.Duration(float64(length/3) * (0.8 + 0.2*rand.Float64()))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(wait, time.Until(expires))):
		}
		asked := time.Now()
		try, cancel := context.WithDeadline(ctx, expires)
		err := once(try)
		cancel()
		switch {
		case err == nil:
			expires = asked.Add(length)
		case ctx.Err() != nil:
			return nil
		case fault.Is(err, fault.Conflict), fault.Is(err, fault.NotFound), !time.Now().Before(expires):
			return lockLost().Because(err)
		}
	}
}
