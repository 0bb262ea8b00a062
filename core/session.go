package core

import (
	"crypto/sha256"
	"time"
)

// Session lengths (the defaults of existing servers).
const (
	SessionLength = 30 * 24 * time.Hour // web and mobile
	MaxDeviceID   = 512
	MaxSessions   = 500 // of a user; one more ends the oldest
)

// TokenHash is the SHA-256 of a token. Whoever has it can make proposals for the session, so only the
// edges that were shown the token have it, and home, where it is sealed. A token has 128 random bits, so it
// cannot be found from its hash or its seal by trying.
type TokenHash [32]byte

// HashToken gives the hash of a token.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// Seal gives the seal under which a token's session is found: what the log and the databases know of it.
func (h TokenHash) Seal() Seal { return SealOf(h[:]) }

// Session is a signed-in client. The token itself exists only at the client.
type Session struct {
	ID             SessionID         `cbor:"1,keyasint" json:"id" db:"id"`
	Token          Seal              `cbor:"2,keyasint" json:"-" db:"token"`
	CreateAt       int64             `cbor:"3,keyasint" json:"create_at" db:"create_at"`
	ExpiresAt      int64             `cbor:"4,keyasint" json:"expires_at" db:"expires_at"`
	LastActivityAt int64             `cbor:"5,keyasint,omitempty" json:"last_activity_at" db:"last_activity_at"`
	UserID         UserID            `cbor:"6,keyasint" json:"user_id" db:"user_id"`
	DeviceID       string            `cbor:"7,keyasint,omitempty" json:"device_id" db:"device_id" max:"512"`
	Roles          string            `cbor:"8,keyasint,omitempty" json:"roles" db:"roles" max:"256"`
	Props          map[string]string `cbor:"9,keyasint,omitempty" json:"props" db:"props" max:"2000"` // csrf, os, browser, platform
}

// Expired reports whether the session is over at a time in Unix milliseconds.
func (s *Session) Expired(now int64) bool { return s.ExpiresAt != 0 && now >= s.ExpiresAt }
