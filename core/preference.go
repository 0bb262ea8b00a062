package core

// Limits of preferences.
const (
	MaxPreferenceCategory = 32
	MaxPreferenceName     = 32
	MaxPreferenceValue    = 20_000
	MaxPreferencesPerCall = 100
	MaxPreferencesSize    = 4 << 20 // of all preferences of a user: see Size
	preferenceOverhead    = 210     // so that a user has at most 20,000
)

// Preference is one setting of one user.
type Preference struct {
	UserID   UserID `cbor:"1,keyasint" json:"user_id" db:"user_id"`
	Category string `cbor:"2,keyasint" json:"category" db:"category" max:"32"`
	Name     string `cbor:"3,keyasint" json:"name" db:"name" max:"32"`
	Value    string `cbor:"4,keyasint,omitempty" json:"value" db:"value" runes:"20000"`
}

// Size gives how much a preference counts in MaxPreferencesSize; 0 if there is no preference.
func (p *Preference) Size() int64 {
	if p.Category == "" {
		return 0
	}
	return int64(preferenceOverhead + len(p.Category) + len(p.Name) + len(p.Value))
}

// What Check refuses of a preference.
var (
	badPreferenceID       = Refusal{Kind: KindInvalid, ID: "model.preference.is_valid.id.app_error"}
	badPreferenceCategory = Refusal{Kind: KindInvalid, ID: "model.preference.is_valid.category.app_error"}
	badPreferenceName     = Refusal{Kind: KindInvalid, ID: "model.preference.is_valid.name.app_error"}
	badPreferenceValue    = Refusal{Kind: KindInvalid, ID: "model.preference.is_valid.value.app_error"}
)

// Check validates a preference that a client sets.
func (p *Preference) Check() error {
	switch err := p.CheckForm(); {
	case err != nil:
		return err
	case !p.validValue():
		return badPreferenceValue.With("reason", "json", "category", p.Category)
	}
	return nil
}

// CheckForm validates a preference that a client names, to delete it.
func (p *Preference) CheckForm() error {
	switch {
	case p.UserID.IsZero():
		return badPreferenceID
	case p.Category == "" || len(p.Category) > MaxPreferenceCategory:
		return badPreferenceCategory
	case len(p.Name) > MaxPreferenceName:
		return badPreferenceName
	case over(p.Value, MaxPreferenceValue):
		return badPreferenceValue
	}
	return nil
}
