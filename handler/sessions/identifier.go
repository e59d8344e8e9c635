package sessions

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// NewIdentifier returns a new session identifier that nobody can guess: 26
// capital letters and digits, 130 bits of the system's random source.
func NewIdentifier() string { return rand.Text() }

// minSecret is the least length of the secret of [DeriveIdentifier], in bytes.
const minSecret = 16

// DeriveIdentifier returns the session identifier of an owner, the same each
// time, so that it need not be kept: 64 hexadecimal digits, the HMAC-SHA256 of
// the owner's parts under secret. Parts may be such as a tenant, a user and a
// conversation; ("ab", "c") and ("a", "bc") are different owners.
//
// Without the secret nobody can compute an identifier, or find the owner of
// one. The secret must be at least 16 bytes that cannot be guessed: a key that
// is kept, or a random id of the conversation that only its owner knows.
func DeriveIdentifier(secret []byte, owner ...string) (string, error) {
	if len(secret) < minSecret {
		return "", errors.New("derive a session identifier: the secret is shorter than 16 bytes")
	}
	mac := hmac.New(sha256.New, secret)
	for _, part := range owner {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(part))) // a hash takes anything
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// alias returns a name for a session that is safe in a log: it is the same
// each time, and does not lead back to an identifier that cannot be guessed.
func alias(identifier string) string {
	sum := sha256.Sum256([]byte(identifier))
	return "session-" + hex.EncodeToString(sum[:4])
}
