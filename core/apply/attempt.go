package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/schema"
)

// Share is what attempts are counted by.
type Share struct {
	Kind      core.AttemptKind `db:"kind"`
	SubjectID core.SubjectID   `db:"subject_id"`
	SourceID  core.SourceID    `db:"source_id"`
}

// UserSource is the key of a known source.
type UserSource struct {
	UserID   core.UserID   `db:"user_id"`
	SourceID core.SourceID `db:"source_id"`
}

type userSourceKind struct {
	UserID core.UserID     `db:"user_id"`
	Kind   core.SourceKind `db:"kind"`
}

// atOnceForgotten is how many old attempts an entry forgets: more than one adds, so that none stay.
const atOnceForgotten = 2 * core.MaxAttemptsOnce

// Attempts has the tries of the last minutes at what could be guessed, and KnownSources the devices
// and addresses that have signed in to an account.
var (
	Attempts     = table[core.AttemptID, core.Attempt]("attempts", "id")
	attemptsOf   = index[Share](Attempts, []string{"kind", "subject_id", "source_id"}, schema.OrderBy("create_at"), schema.Down(), schema.WhereZero("right_at"), schema.AtMost(core.MaxAttempts))
	latestOfKind = index[core.AttemptKind](Attempts, []string{"kind"}, schema.OrderBy("create_at"), schema.Down(), schema.WhereZero("right_at"), schema.AtMost(core.MaxTogether))
	oldestOfKind = index[core.AttemptKind](Attempts, []string{"kind"}, schema.OrderBy("create_at"), schema.AtMost(atOnceForgotten))

	KnownSources  = table[UserSource, core.KnownSource]("known_sources")
	oldestSources = index[userSourceKind](KnownSources, []string{"user_id", "kind"}, schema.OrderBy("last_at"), schema.AtMost(core.MaxKnownSources))
)

func countAttempts(x *exec, c *command.CountAttempts) (any, error) {
	if len(c.Attempts)+len(c.Right) > core.MaxAttemptsOnce {
		return nil, badRequest.With("reason", "over_limit", "field", "attempts")
	}
	for _, id := range c.Right {
		x.giveBack(id)
	}
	var out command.Counted
	var together together
	for i, a := range c.Attempts {
		if i == 0 || a.Kind != c.Attempts[i-1].Kind {
			x.forgetAttempts(a.Kind)
		}
		out.Granted = append(out.Granted, x.grant(a, &together))
	}
	return out, nil
}

// forgetAttempts deletes the attempts of a kind that no longer count.
func (x *exec) forgetAttempts(kind core.AttemptKind) {
	for _, a := range oldestOfKind.List(x, kind) {
		if !a.Over(x.now) {
			return
		}
		Attempts.Delete(x, a.ID)
	}
}

// together counts the attempts of all addresses at tokens that name nobody. An entry lists them once: for each
// attempt again they would cost more than an entry may.
type together struct {
	kind core.AttemptKind // zero: not listed yet
	n    int
}

// full reports whether all addresses together have used up what they may try.
func (t *together) full(x *exec, kind core.AttemptKind) bool {
	if !kind.ByAddress() {
		return false
	}
	if t.kind != kind {
		*t = together{kind: kind, n: x.counting(latestOfKind.List(x, kind))}
	}
	return t.n >= core.MaxTogether
}

// counting gives how many attempts of a list count now.
func (x *exec) counting(list []core.Attempt) (n int) {
	for _, a := range list {
		if a.Counts(x.now) {
			n++
		}
	}
	return n
}

// grant counts an attempt and reports whether it may be checked.
func (x *exec) grant(a core.Attempt, all *together) bool {
	if was, again := Attempts.Get(x, a.ID); again { // another home node was asked before, and did not answer in time
		if was.Uses >= core.MaxAttemptUses || was.Kind != a.Kind || was.SubjectID != a.SubjectID {
			return false
		}
		was.Uses++
		Attempts.Put(x, was)
		return true
	}
	a.SourceID = a.Share(func(s core.SourceID) bool {
		_, known := KnownSources.Get(x, UserSource{a.UserID, s})
		return known
	})
	counting := x.counting(x.attemptsWith(a))
	if counting >= core.MaxAttempts || counting > 0 && all.full(x, a.Kind) || a.ID.IsZero() {
		return false
	}
	if all.kind == a.Kind {
		all.n++
	}
	a.CreateAt, a.Uses, a.RightAt = x.now, 1, 0
	Attempts.Put(x, a)
	return true
}

// attemptsWith gives the latest attempts in an attempt's share.
func (x *exec) attemptsWith(a core.Attempt) []core.Attempt {
	return attemptsOf.List(x, Share{a.Kind, a.SubjectID, a.SourceID})
}

// giveBack forgets the attempts in the share of one that was right. At tokens only the right one itself no longer
// counts: whoever has one invitation could otherwise guess others for ever.
func (x *exec) giveBack(id core.AttemptID) {
	a, ok := Attempts.Get(x, id)
	if !ok || a.RightAt != 0 {
		return
	}
	for _, other := range x.attemptsWith(a) {
		if other.ID != id && !a.Kind.ByAddress() {
			Attempts.Delete(x, other.ID)
		}
	}
	a.RightAt = x.now
	Attempts.Put(x, a)
}

// signedInFrom remembers where a user has signed in from, if an attempt proves that it was the user.
func (x *exec) signedInFrom(u core.UserID, id core.AttemptID) {
	a, ok := Attempts.Get(x, id)
	if !ok || !a.Proves(u, x.now) {
		return
	}
	Attempts.Delete(x, id)
	x.remember(core.KnownSource{UserID: u, SourceID: a.DeviceID, Kind: core.SourceDevice, LastAt: x.now})
	x.remember(core.KnownSource{UserID: u, SourceID: a.AddressID, Kind: core.SourceAddress, LastAt: x.now})
}

// remember keeps a source, in the place of the oldest one if there are too many.
func (x *exec) remember(s core.KnownSource) {
	if s.SourceID.IsZero() {
		return
	}
	if _, known := KnownSources.Get(x, UserSource{s.UserID, s.SourceID}); !known {
		if old := oldestSources.List(x, userSourceKind{s.UserID, s.Kind}); len(old) >= core.MaxKnownSources {
			KnownSources.Delete(x, UserSource{old[0].UserID, old[0].SourceID})
		}
	}
	KnownSources.Put(x, s)
}
