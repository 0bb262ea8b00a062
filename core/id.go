package core

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// ID is 16 bytes shown as 26 characters of base32. The first 48 bits of an ID that we mint are
// Unix milliseconds, so database indexes over IDs grow at one end. T only makes ids of different
// nouns different types.
// The zero ID means "none" and is shown as the empty string.
type ID[T any] [16]byte

// The ids of the nouns.
type (
	UserID     = ID[User]
	SessionID  = ID[Session]
	TeamID     = ID[Team]
	ChannelID  = ID[Channel]
	PostID     = ID[Post]
	ProposalID = ID[Proposal]
)

// ConnectionID is the id of a client's socket, which it may send with a request. No noun has it.
type (
	ConnectionID = ID[Connection]
	Connection   struct{}
)

// IDLength is the length of every shown id.
const IDLength = 26

// The alphabet is the one that existing clients and databases use.
var idEncoding = base32.NewEncoding("ybndrfg8ejkmcpqxot1uwisza345h769").WithPadding(base32.NoPadding)

// NewID mints an id at a time. It reads the system's randomness, so core/apply never calls it.
func NewID[T any](at time.Time) ID[T] {
	var id ID[T]
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	if _, err := rand.Read(id[6:]); err != nil {
		panic("no randomness: " + err.Error()) // crypto/rand never returns an error
	}
	return id
}

// DeriveID gives the same id for the same parts for ever. It is for objects that every replica must
// give the same id: new posts, default channels.
func DeriveID[T any](parts ...string) ID[T] {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	var id ID[T]
	copy(id[:], h.Sum(nil))
	return id
}

// IsZero reports whether there is no id.
func (id ID[T]) IsZero() bool { return id == ID[T]{} }

// String gives 26 characters, or "" for the zero id.
func (id ID[T]) String() string {
	if id.IsZero() {
		return ""
	}
	return idEncoding.EncodeToString(id[:])
}

// MarshalText implements encoding.TextMarshaler.
func (id ID[T]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: "" or a valid id.
func (id *ID[T]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID[T]{}
		return nil
	}
	got, ok := ParseID[T](string(b))
	if !ok {
		return E(KindInvalid, "an id has 26 letters and digits")
	}
	*id = got
	return nil
}

// MarshalCBOR writes the id as a byte string; the zero id as an empty one.
func (id ID[T]) MarshalCBOR() ([]byte, error) {
	if id.IsZero() {
		return []byte{0x40}, nil
	}
	return append([]byte{0x50}, id[:]...), nil
}

// UnmarshalCBOR reads what MarshalCBOR writes and nothing else.
func (id *ID[T]) UnmarshalCBOR(b []byte) error {
	switch {
	case len(b) == 1 && b[0] == 0x40:
		*id = ID[T]{}
	case len(b) == 17 && b[0] == 0x50:
		copy(id[:], b[1:])
	default:
		return E(KindInvalid, "an id is 16 bytes")
	}
	return nil
}

// ParseID reads 26 ASCII letters and digits. Clients may ask for any such string, but only
// part of them can be written in our alphabet: the others get an id derived from the text,
// which nothing can have, so a look-up misses as it should.
func ParseID[T any](s string) (ID[T], bool) {
	var id ID[T]
	if len(s) != IDLength {
		return id, false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return id, false
		}
	}
	raw, err := idEncoding.DecodeString(s)
	if err == nil {
		copy(id[:], raw)
		if id.String() == s {
			return id, true
		}
	}
	return DeriveID[T]("unwritable", s), true
}
