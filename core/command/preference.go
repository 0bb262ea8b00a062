package command

import "github.com/nearside/nearside/core"

// SetPreferences writes settings of the caller.
type SetPreferences struct {
	Preferences []core.Preference `cbor:"1,keyasint"`
}

// DeletePreferences removes settings of the caller.
type DeletePreferences struct {
	Preferences []core.Preference `cbor:"1,keyasint"`
}
