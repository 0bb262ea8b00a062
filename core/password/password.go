// Package password hashes passwords and compares them with their hashes.
//
// It knows no account, and counts nothing: package guard does. A Hasher is safe for concurrent use
// and starts no goroutines.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/turn"
)

// The cost of a new hash: about 30 ms and 19 MiB.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	saltBytes    = 16
	keyBytes     = 32
)

// Bounds for the parameters of a stored hash; a row with higher ones is damaged.
const (
	maxArgonTime   = 16
	maxArgonMemory = 256 << 10 // KiB
)

// The default limits of a Hasher.
const (
	DefaultParallel = 2
	DefaultQueue    = 64
)

// tireAfter is how long somebody may have passwords hashed without a break until half of the time is for others alone.
const tireAfter = 250 * time.Millisecond

// Hasher hashes and verifies passwords, a few at a time. Each costs a core and megabytes, so many
// sign-ins at once must wait or be refused, so that they do not block everything else.
//
// Callers take turns, nobody has all of the places, and strangers wait apart from those who are known
// (see package turn), so that many wrong logins of somebody keep nobody else from signing in, nor take
// every processor.
type Hasher struct {
	turns *turn.Queue
	room  *turn.Room // all callers, waiting or running
}

// NewHasher makes a Hasher that works on at most parallel passwords and lets queue strangers wait, and
// as many callers who are known, half of them of one group; more are refused with KindUnavailable. Zeros
// mean the defaults.
func NewHasher(parallel, queue int) *Hasher {
	if parallel <= 0 {
		parallel = DefaultParallel
	}
	if queue <= 0 {
		queue = DefaultQueue
	}
	all := parallel + queue
	return &Hasher{turns: turn.New(turn.Config{Places: parallel, OfOne: max(1, parallel-1), Waiting: all, WaitOne: all, TireAfter: tireAfter}), room: turn.NewRoom(all, parallel+max(1, queue/2))}
}

// Busy is the refusal when too many passwords are being hashed.
var Busy = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.unavailable.app_error"}.With("reason", "passwords")

// Place is a caller's place in a Hasher's queue. It must be left.
type Place struct {
	h   *Hasher
	who turn.Who
}

// Enter takes a place in the queue, or refuses at once.
func (h *Hasher) Enter(who turn.Who) (Place, error) {
	if err := h.room.Enter(who); err != nil {
		return Place{}, Busy.WithCause(err)
	}
	return Place{h, who}, nil
}

// Leave gives the place back.
func (p Place) Leave() { p.h.room.Leave(p.who) }

// turn waits for the caller's turn; done ends it.
func (p Place) turn(ctx context.Context) (done func(), err error) {
	if done, err = p.h.turns.Enter(ctx, p.who); err != nil {
		return nil, fmt.Errorf("wait to hash: %w", err)
	}
	return done, nil
}

// Hash returns a password's argon2id hash in PHC form.
func (h *Hasher) Hash(ctx context.Context, who turn.Who, password string) (string, error) {
	place, err := h.Enter(who)
	if err != nil {
		return "", err
	}
	defer place.Leave()
	done, err := place.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // crypto/rand never returns an error
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, keyBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Verify reports whether a password matches a stored hash: argon2id in PHC form, or bcrypt, which
// existing databases contain. An empty or damaged hash matches nothing, but takes as long as a
// right one, so that the time does not reveal whether an account exists.
func (p Place) Verify(ctx context.Context, stored, password string) (bool, error) {
	done, err := p.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	if strings.HasPrefix(stored, "$2") {
		return bcrypt.CompareHashAndPassword([]byte(stored), []byte(password)) == nil, nil
	}
	h, ok := parsePHC(stored)
	got := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return ok && subtle.ConstantTimeCompare(got, h.key) == 1, nil
}

type phc struct {
	time, memory uint32
	threads      uint8
	salt, key    []byte
}

// nobody is the hash that is checked if there is no valid one.
var nobody = phc{argonTime, argonMemory, argonThreads, make([]byte, saltBytes), make([]byte, keyBytes)}

func parsePHC(s string) (phc, bool) {
	parts := strings.Split(s, "$") // "", argon2id, v=…, m=…,t=…,p=…, salt, key
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nobody, false
	}
	var p phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return nobody, false
	}
	var err1, err2 error
	p.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	p.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(p.key) < 16 || len(p.key) > 64 {
		return nobody, false
	}
	if p.time < 1 || p.time > maxArgonTime || p.memory < 8 || p.memory > maxArgonMemory || p.threads < 1 {
		return nobody, false
	}
	return p, true
}
