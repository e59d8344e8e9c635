// Package store keeps records: small JSON documents, read and written whole,
// each under a key. It is where conversations and jobs live between requests.
//
// [Blob] keeps them in a container of Azure Blob Storage and is what a
// deployment uses; [Dir] keeps them in a directory and serves local runs. Both
// have the same methods and pass the same conformance tests. Their
// consumers declare the interface that they need of them.
//
// The point of the package is Update: it locks a record, hands its content to
// a function, and writes what the function returns, while nobody else in any
// process, on any machine, can do the same. A lock never waits: who comes
// second is told at once that the record is busy. A holder that is killed
// frees the record without anybody's help: at once in a directory, within the
// lease's length (60 s) in Blob Storage.
//
// For short changes there is Edit, which takes no lock and tries again when
// somebody else was faster; a record should be changed by one of the two, not
// by both.
//
// Errors are classified (package fault). Beside what each method names, Blob's
// methods return Denied, Misconfigured, Throttled and Unavailable with a code
// that begins with storage_, and an UpstreamID for a support case.
package store
