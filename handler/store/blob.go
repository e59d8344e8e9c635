package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"keyless/handler/fault"
)

// DefaultContainer is the container that records are kept in unless another
// is named. It is made by whoever deploys the app, not by this package: the
// app's role is for blobs.
const DefaultContainer = "agent-state"

// The shortest and the longest lease that Blob Storage gives, except one that
// never ends (Microsoft, "Lease Blob").
const (
	minLease = 15 * time.Second
	maxLease = 60 * time.Second
)

// BlobConfig tells where a Blob keeps its records.
type BlobConfig struct {
	Endpoint   string                 // of the account's blob service: https://<account>.blob.core.windows.net
	Container  string                 // empty: DefaultContainer
	Credential azcore.TokenCredential // asked for https://storage.azure.com/.default
	Client     azcore.ClientOptions   // the transport; with Retry.MaxRetries zero, three tries in some seconds
	Lease      time.Duration          // how long a killed holder blocks a record: whole seconds, 15 to 60; zero: 60
	Log        *slog.Logger           // nil: none
}

// Blob keeps records as blobs, for any number of instances. It is safe for
// concurrent use. A lock is a lease on the blob, renewed in the background.
//
// Round trips: Create 1 (2 if the key is taken), Get 1, Edit 2 (get, put), List
// 1, Update 4 (lease, get, put, release; 3 if nothing is written), Start 4 (put,
// lease, put, release), Remove 2 (lease, delete), a busy record 1; and one each
// third of the lease's length while a lock is held.
type Blob struct {
	container *container.Client
	place     string // the container's URL, for messages
	lease     time.Duration
	log       *slog.Logger
}

// NewBlob returns a Blob. It makes no request. It returns fault.Misconfigured
// if a field is wrong.
func NewBlob(c BlobConfig) (*Blob, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Scheme != "https" || endpoint.Host == "" || endpoint.RawQuery != "" {
		return nil, fault.New(fault.Misconfigured, "storage_endpoint_invalid",
			"The Blob Storage endpoint must be a URL like https://<account>.blob.core.windows.net.").Because(err)
	}
	if c.Lease == 0 {
		c.Lease = maxLease
	}
	if c.Lease < minLease || c.Lease > maxLease || c.Lease%time.Second != 0 {
		return nil, fault.New(fault.Misconfigured, "storage_lease_invalid", "A lease must last 15 to 60 whole seconds.")
	}
	if c.Container == "" {
		c.Container = DefaultContainer
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	place := endpoint.JoinPath(c.Container).String()
	options := container.ClientOptions{ClientOptions: c.Client}
	if options.Retry.MaxRetries == 0 {
		options.Retry = requestRetries()
	}
	client, err := container.NewClient(place, c.Credential, &options)
	if err != nil {
		return nil, fault.New(fault.Misconfigured, "storage_client_invalid", "The Blob Storage client cannot be made.").Because(err)
	}
	return &Blob{container: client, place: place, lease: c.Lease, log: c.Log}, nil
}

// requestRetries suits a caller who waits: three tries within some seconds.
// All our requests may be repeated; see Create and leasedBlob.
func requestRetries() policy.RetryOptions {
	return policy.RetryOptions{
		MaxRetries: 2, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 2 * time.Second, TryTimeout: 15 * time.Second,
	}
}

// stampName is the metadata under which Create leaves its stamp.
const stampName = "created_by"

// Create writes a new record. It returns fault.Conflict (record_exists) if the
// key is taken.
//
// The blob bears a stamp of this call: if a first try's answer is lost, the
// retry finds the key taken, by us.
func (b *Blob) Create(ctx context.Context, key string, data []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	client, stamp := b.container.NewBlockBlobClient(key), rand.Text()
	err := put(ctx, client, data, map[string]*string{stampName: &stamp}, &blob.AccessConditions{
		ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
	})
	if err == nil || bloberror.HasCode(err, taken...) && stamped(ctx, client, stamp) {
		return nil
	}
	return b.blobFault(ctx, "create", key, err)
}

// stamped reports whether the blob bears the stamp.
func stamped(ctx context.Context, client *blockblob.Client, stamp string) bool {
	properties, err := client.GetProperties(ctx, nil)
	if err != nil {
		return false
	}
	for name, value := range properties.Metadata { // the names come in the case of HTTP headers
		if strings.EqualFold(name, stampName) && value != nil && *value == stamp {
			return true
		}
	}
	return false
}

// Get reads a record. It returns fault.NotFound (record_not_found).
func (b *Blob) Get(ctx context.Context, key string) ([]byte, error) {
	data, _, err := b.getTagged(ctx, key)
	return data, err
}

// getTagged reads a record, and the tag of the version that was read.
func (b *Blob) getTagged(ctx context.Context, key string) ([]byte, *azcore.ETag, error) {
	if err := checkKey(key); err != nil {
		return nil, nil, err
	}
	answer, err := b.container.NewBlobClient(key).DownloadStream(ctx, nil)
	if err != nil {
		return nil, nil, b.blobFault(ctx, "read", key, err)
	}
	// The pipeline's retries end with the answer's head; this one goes on
	// where a broken body stopped.
	stream := answer.NewRetryReader(ctx, nil)
	defer func() { _ = stream.Close() }()
	data, err := io.ReadAll(stream)
	if err != nil {
		return nil, nil, b.blobFault(ctx, "read", key, err)
	}
	return data, answer.ETag, nil
}

// Update locks the record, hands fn its content, writes what fn returns unless
// that is nil (also when fn returns an error besides), unlocks, and returns
// fn's error, joined with that of the write if it failed. It returns
// fault.NotFound (record_not_found), and fault.Conflict: record_busy at once if
// another holds the lock, record_lock_lost if the lock was lost and nothing
// written. fn's ctx ends when the lock is lost, with that as its cause. What fn
// did is written even if ctx has ended.
func (b *Blob) Update(ctx context.Context, key string, fn func(ctx context.Context, data []byte) ([]byte, error)) error {
	held, l, err := b.lock(ctx, key)
	if err != nil {
		return err
	}
	return update(held, l, fn)
}

// Start creates a record, locks it, and goes on as Update does, without
// reading it again. Its errors are those of Create and Update; a record whose
// key nobody else knows yet is not busy.
func (b *Blob) Start(ctx context.Context, key string, data []byte, fn func(ctx context.Context) ([]byte, error)) error {
	if err := b.Create(ctx, key, data); err != nil {
		return err
	}
	held, l, err := b.lock(ctx, key)
	if err != nil {
		return err
	}
	return started(held, l, fn)
}

// Remove locks the record, runs fn, and deletes the record if fn succeeds. Its
// errors are those of Update.
func (b *Blob) Remove(ctx context.Context, key string, fn func(ctx context.Context) error) error {
	held, l, err := b.lock(ctx, key)
	if err != nil {
		return err
	}
	return remove(held, l, fn)
}

// put writes a blob whole, in one request.
func put(ctx context.Context, client *blockblob.Client, data []byte, metadata map[string]*string, conditions *blob.AccessConditions) error {
	_, err := client.Upload(ctx, streaming.NopCloser(bytes.NewReader(data)), &blockblob.UploadOptions{
		HTTPHeaders:      &blob.HTTPHeaders{BlobContentType: to.Ptr("application/json")},
		Metadata:         metadata,
		AccessConditions: conditions,
	})
	return err
}
