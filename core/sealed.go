package core

import "crypto/sha256"

// Limits of the sealed part of a proposal or an entry.
const (
	MaxSealed      = 4   // values
	MaxSealedBytes = 512 // of one value
)

// Seal stands for a sealed value: it is the value's SHA-256. Commands, rows and digests have seals only. The
// values travel beside the command and stay at home, so an edge never has them. A sealed value must have at
// least 128 random bits of its own (a salt, a token), or it could be found from its seal by trying.
type Seal [32]byte

// SealOf gives the seal of a value.
func SealOf(value []byte) Seal { return sha256.Sum256(value) }

// IsZero reports whether the seal stands for nothing.
func (s Seal) IsZero() bool { return s == Seal{} }

var badSealed = Refusal{Kind: KindInvalid, ID: "api.context.invalid_body_param.app_error"}

// CheckSealed refuses a sealed part that is over a limit.
func CheckSealed(values [][]byte) error {
	if len(values) > MaxSealed {
		return badSealed.With("reason", "sealed")
	}
	for _, v := range values {
		if len(v) == 0 || len(v) > MaxSealedBytes {
			return badSealed.With("reason", "sealed")
		}
	}
	return nil
}
