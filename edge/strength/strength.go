// Package strength says which new passwords are good enough.
//
// Passwords of today's accounts are not asked again: their text is known only while somebody chooses one or
// signs in. Everything here is safe for concurrent use.
package strength

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"sort"
	"strings"

	"github.com/nearside/nearside/core"
)

// prefixBytes is how much of a hash common.bin has of each password. That another password has the same 40 bits
// happens to one in 270 million.
const prefixBytes = 5

// common has the SHA-256 of the 4,000 most frequent passwords of eight characters and more that thefts of data
// have made public, cut to prefixBytes, in ascending order. Hashes, because many of them are words that nobody
// wants to read here. TestCommon -make FILE makes it from a list.
//
//go:embed common.bin
var common []byte

// The bounds of a password. The upper one is that of bcrypt, which existing databases use.
const (
	MinBytes = 8
	MaxBytes = 72
)

var (
	tooShort = core.Refusal{Kind: core.KindInvalid, ID: "model.user.is_valid.pwd_min_length.app_error"}
	tooLong  = core.Refusal{Kind: core.KindInvalid, ID: "model.user.is_valid.pwd_max_length.app_error"}
)

// tooCommon is the API's id for a password that is refused for another reason than its length and characters.
var tooCommon = core.Refusal{Kind: core.KindInvalid, ID: "model.user.is_valid.pwd.app_error"}

// Rules say what a deployment demands of new passwords.
type Rules struct {
	MinBytes int // of the shortest one: MinBytes to MaxBytes; default MinBytes
}

// Min gives the length of the shortest password.
func (r Rules) Min() int { return max(r.MinBytes, MinBytes) }

// Check refuses a password that is too short or too long, that everybody tries first, or that is a name of the
// account itself.
func (r Rules) Check(password string, u core.User) error {
	if len(password) < r.Min() {
		return tooShort.With("min", r.Min())
	}
	if len(password) > MaxBytes {
		return tooLong.With("max", MaxBytes)
	}
	folded := strings.ToLower(password)
	mailbox, _, _ := strings.Cut(u.Email, "@")
	if isCommon(folded) || folded == strings.ToLower(u.Username) || folded == strings.ToLower(u.Email) || folded == strings.ToLower(mailbox) || monotone(folded) {
		return tooCommon
	}
	return nil
}

func isCommon(folded string) bool {
	sum := sha256.Sum256([]byte(folded))
	want := sum[:prefixBytes]
	n := len(common) / prefixBytes
	at := func(i int) []byte { return common[i*prefixBytes : (i+1)*prefixBytes] }
	i := sort.Search(n, func(i int) bool { return bytes.Compare(at(i), want) >= 0 })
	return i < n && bytes.Equal(at(i), want)
}

// monotone reports whether each character follows from the one before by the same step: aaaaaaaa, 23456789.
func monotone(s string) bool {
	r := []rune(s)
	if len(r) < 2 {
		return true
	}
	step := r[1] - r[0]
	if step < -1 || step > 1 {
		return false
	}
	for i := 2; i < len(r); i++ {
		if r[i]-r[i-1] != step {
			return false
		}
	}
	return true
}
