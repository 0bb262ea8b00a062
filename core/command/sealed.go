package command

import (
	"slices"

	"github.com/nearside/nearside/core"
)

// Sealer is a command with sealed values: it names their seals, and the values travel beside it.
type Sealer interface {
	// Seals gives the seals of the values that come with the command, none of them zero.
	Seals() []core.Seal
}

// Seals gives the seals of the values that come with a command; of most commands there are none.
func Seals(c Command) []core.Seal {
	if s, ok := c.(Sealer); ok {
		return s.Seals()
	}
	return nil
}

// some leaves out the seals that stand for nothing.
func some(seals ...core.Seal) []core.Seal { return slices.DeleteFunc(seals, core.Seal.IsZero) }

// checkSealed refuses sealed values that are not exactly those which the command names. One that is missing could
// never be checked against, and one that nobody names would only take space.
func checkSealed(c Command, values [][]byte) error {
	if err := core.CheckSealed(values); err != nil {
		return err
	}
	seals := Seals(c)
	for _, v := range values {
		at := slices.Index(seals, core.SealOf(v))
		if at < 0 {
			return badRequest.With("reason", "sealed")
		}
		seals = slices.Delete(seals, at, at+1)
	}
	if len(seals) > 0 {
		return badRequest.With("reason", "sealed")
	}
	return nil
}
