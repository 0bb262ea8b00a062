package core

// Limits of preferences.
const (
	MaxPreferenceCategory = 32
	MaxPreferenceName     = 32
	MaxPreferenceValue    = 20_000
	MaxPreferencesPerCall = 100
)

// Preference is one setting of one user.
type Preference struct {
	UserID   UserID `cbor:"1,keyasint" json:"user_id" db:"user_id"`
	Category string `cbor:"2,keyasint" json:"category" db:"category" max:"32"`
	Name     string `cbor:"3,keyasint" json:"name" db:"name" max:"32"`
	Value    string `cbor:"4,keyasint,omitempty" json:"value" db:"value" runes:"20000"`
}

// Check validates a preference that a client sent.
func (p *Preference) Check() error {
	bad := func(field, msg string) error {
		return E(KindInvalid, "%s", msg).WithID("model.preference.is_valid." + field + ".app_error")
	}
	switch {
	case p.UserID.IsZero():
		return bad("id", "A preference belongs to a user.")
	case p.Category == "" || len(p.Category) > MaxPreferenceCategory:
		return bad("category", "A preference's category has 1 to 32 bytes.")
	case len(p.Name) > MaxPreferenceName:
		return bad("name", "A preference's name has at most 32 bytes.")
	case over(p.Value, MaxPreferenceValue):
		return bad("value", "A preference's value has at most 20000 characters.")
	}
	return nil
}
