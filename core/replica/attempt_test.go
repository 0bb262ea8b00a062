package replica_test

import (
	"fmt"
	"reflect"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

func init() {
	moreCases = append(moreCases, func(w *town) map[reflect.Type]tripsCase {
		return map[reflect.Type]tripsCase{reflect.TypeFor[command.CountAttempts](): {do: func(i int) core.Entry {
			return w.Entry(command.Caller{}, &command.CountAttempts{Attempts: w.tries(w.users[i], 2)})
		}}}
	})
	worstKinds["many attempts"] = func(w *town, _ uint64, scale float64) (ready []core.Entry, e core.Entry) {
		for range upTo(20, scale) {
			var tries []core.Attempt
			for i := range core.MaxAttemptsOnce {
				tries = append(tries, w.tries(w.users[i%len(w.users)], 1)...)
			}
			ready = append(ready, w.Entry(command.Caller{}, &command.CountAttempts{Attempts: tries}))
		}
		w.At = w.At.Add(core.AttemptWindow)
		var tries []core.Attempt
		for i := range core.MaxAttemptsOnce {
			tries = append(tries, w.tries(w.users[i%len(w.users)], 1)...)
		}
		return ready, w.Entry(command.Caller{}, &command.CountAttempts{Attempts: tries})
	}
}

// tries gives attempts at a user's password, from a place of their own.
func (w *town) tries(u core.UserID, n int) (out []core.Attempt) {
	for range n {
		a := core.Attempt{ID: id[core.Attempt](w.log), Kind: core.AttemptPassword, UserID: u, SubjectID: core.DeriveID[core.Subject](u.String())}
		a.AddressID, a.DeviceID = core.DeriveID[core.Source](fmt.Sprint("address", a.ID)), core.DeriveID[core.Source](fmt.Sprint("device", a.ID))
		out = append(out, a)
	}
	return out
}
