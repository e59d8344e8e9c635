package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"keyless/handler/fault"
)

// Codes that Blob Storage answers with, by what they mean to us. (Microsoft,
// "Blob Storage error codes", "Lease Blob".)
var (
	// taken: the blob exists. A leased one may be refused for want of the
	// lease's id first; only Create sends none.
	taken = []bloberror.Code{bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.LeaseIDMissing}
	// leased: another has the lease.
	leased = []bloberror.Code{bloberror.LeaseAlreadyPresent, bloberror.LeaseIsBreakingAndCannotBeAcquired}
	// leaseGone: the lease that we had is no longer ours.
	leaseGone = []bloberror.Code{bloberror.LeaseLost, bloberror.LeaseIDMismatchWithBlobOperation,
		bloberror.LeaseIDMismatchWithLeaseOperation, bloberror.LeaseNotPresentWithBlobOperation,
		bloberror.LeaseNotPresentWithLeaseOperation, bloberror.LeaseIsBrokenAndCannotBeRenewed}
	// noContainer: there is no container to keep the blob in.
	noContainer = []bloberror.Code{bloberror.ContainerNotFound, bloberror.ContainerBeingDeleted,
		bloberror.ContainerDisabled, bloberror.ResourceNotFound, bloberror.InvalidResourceName}
	// noRole: the identity is known and lacks the role.
	noRole = []bloberror.Code{bloberror.AuthorizationPermissionMismatch, bloberror.InsufficientAccountPermissions}
	// fencedOff: the account's network rules do not let us in.
	fencedOff = []bloberror.Code{bloberror.AuthorizationFailure, bloberror.AuthorizationSourceIPMismatch}
)

// blobFault classifies an error of the storage client. All its errors pass
// through here.
func (b *Blob) blobFault(ctx context.Context, doing, key string, err error) error {
	cause := fmt.Errorf("%s record %s: %w", doing, key, err)
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return b.unanswered(ctx, cause)
	}
	f := b.byCode(err)
	if f == nil {
		f = b.byStatus(answer.StatusCode)
	}
	if f == nil {
		return cause
	}
	f.UpstreamID = answer.RawResponse.Header.Get("x-ms-request-id")
	f.RetryAfter = retryAfter(answer.RawResponse.Header)
	return f.Because(cause)
}

// unanswered says why a request got no answer: the caller's time, the
// credential, the name, or the way there.
func (b *Blob) unanswered(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), cause)
	}
	if _, ok := errors.AsType[*fault.Error](cause); ok {
		return cause
	}
	if dns, ok := errors.AsType[*net.DNSError](cause); ok && dns.IsNotFound {
		return fault.New(fault.Misconfigured, "storage_account_not_found",
			"There is no storage account at %s. Check the Blob Storage endpoint setting.", b.place).Because(cause)
	}
	return fault.New(fault.Unavailable, "storage_unreachable", "Storage cannot be reached. Try again.").Because(cause)
}

// byCode says what one of the service's codes means, or nil.
func (b *Blob) byCode(err error) *fault.Error {
	switch {
	case bloberror.HasCode(err, bloberror.BlobNotFound):
		return notFound()
	case bloberror.HasCode(err, taken...):
		return exists()
	case bloberror.HasCode(err, leased...):
		return busy()
	case bloberror.HasCode(err, leaseGone...):
		return lockLost()
	case bloberror.HasCode(err, noContainer...):
		return fault.New(fault.Misconfigured, "storage_container_not_found",
			"The storage container %s does not exist. Create it, or correct the setting that names it.", b.place)
	case bloberror.HasCode(err, bloberror.AccountIsDisabled):
		return fault.New(fault.Misconfigured, "storage_account_disabled", "The storage account of %s is disabled. Enable it.", b.place)
	case bloberror.HasCode(err, noRole...):
		return fault.New(fault.Denied, "storage_role_missing",
			"The app's identity may not use the storage container %s. Give it the role Storage Blob Data Contributor there; "+
				"a new role can take ten minutes to work.", b.place)
	case bloberror.HasCode(err, fencedOff...):
		return fault.New(fault.Denied, "storage_network_denied",
			"The network rules of the storage account keep the app from %s. Allow the app's network or address there.", b.place)
	case bloberror.HasCode(err, bloberror.ServerBusy):
		return throttled()
	}
	return nil
}

// byStatus says what a status means whose code says nothing, or nil.
func (b *Blob) byStatus(status int) *fault.Error {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault.New(fault.Denied, "storage_token_refused",
			"Storage refused the app's token for %s. It must be of the storage account's tenant and for https://storage.azure.com.", b.place)
	case status == http.StatusTooManyRequests:
		return throttled()
	case status == http.StatusRequestTimeout, status >= http.StatusInternalServerError:
		return fault.New(fault.Unavailable, "storage_unavailable", "Storage is not available just now. Try again.")
	}
	return nil
}

func throttled() *fault.Error {
	return fault.New(fault.Throttled, "storage_throttled", "Storage has too much to do. Try again in a moment.")
}

// retryAfter reads the header of that name, in seconds; zero if there is none.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
