package command

import "github.com/nearside/nearside/core"

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
