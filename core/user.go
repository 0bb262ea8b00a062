package core

import "unicode/utf8"

// Limits of user fields, in runes unless the comment says bytes; the same as on existing servers.
const (
	MaxUsername    = 64
	MaxEmail       = 128
	MaxNickname    = 64
	MaxName        = 64
	MaxPosition    = 128
	MaxLocale      = 5
	MaxUserProps   = 4000 // of props, notify_props and timezone: bytes of all names and values
	MaxNotifyProps = 2000
	MaxTimezone    = 256
)

// User is an account. The hash of the password is sealed at home: rows and edges have its seal only.
type User struct {
	ID                 UserID            `cbor:"1,keyasint" json:"id" db:"id"`
	CreateAt           int64             `cbor:"2,keyasint" json:"create_at,omitempty" db:"create_at"`
	UpdateAt           int64             `cbor:"3,keyasint" json:"update_at,omitempty" db:"update_at"`
	DeleteAt           int64             `cbor:"4,keyasint,omitempty" json:"delete_at" db:"delete_at"`
	Username           string            `cbor:"5,keyasint" json:"username" db:"username" max:"64"`
	PasswordSeal       Seal              `cbor:"6,keyasint,omitzero" json:"-" db:"password_seal"` // zero: no password is right
	AuthService        string            `cbor:"7,keyasint,omitempty" json:"auth_service" db:"auth_service" max:"64"`
	Email              string            `cbor:"8,keyasint" json:"email" db:"email" max:"128"`
	EmailVerified      bool              `cbor:"9,keyasint,omitempty" json:"email_verified,omitempty" db:"email_verified"`
	Nickname           string            `cbor:"10,keyasint,omitempty" json:"nickname" db:"nickname" runes:"64"`
	FirstName          string            `cbor:"11,keyasint,omitempty" json:"first_name" db:"first_name" runes:"64"`
	LastName           string            `cbor:"12,keyasint,omitempty" json:"last_name" db:"last_name" runes:"64"`
	Position           string            `cbor:"13,keyasint,omitempty" json:"position" db:"position" runes:"128"`
	Roles              string            `cbor:"14,keyasint" json:"roles" db:"roles" max:"256"`
	Props              map[string]string `cbor:"15,keyasint,omitempty" json:"props" db:"props" max:"4000"`
	NotifyProps        map[string]string `cbor:"16,keyasint,omitempty" json:"notify_props,omitempty" db:"notify_props" max:"2000"`
	LastPasswordUpdate int64             `cbor:"17,keyasint,omitempty" json:"last_password_update,omitempty" db:"last_password_update"`
	LastPictureUpdate  int64             `cbor:"18,keyasint,omitempty" json:"last_picture_update,omitempty" db:"last_picture_update"`
	Locale             string            `cbor:"19,keyasint,omitempty" json:"locale" db:"locale" max:"5"`
	Timezone           map[string]string `cbor:"20,keyasint,omitempty" json:"timezone" db:"timezone" max:"256"`
	Picture            BlobRef           `cbor:"21,keyasint,omitzero" json:"-" db:"picture,null"` // PNG; zero: the initials
}

// UserPatch is what may change in an account. A nil field stays as it is.
type UserPatch struct {
	Username    *string            `cbor:"2,keyasint,omitempty" json:"username"`
	Nickname    *string            `cbor:"3,keyasint,omitempty" json:"nickname"`
	FirstName   *string            `cbor:"4,keyasint,omitempty" json:"first_name"`
	LastName    *string            `cbor:"5,keyasint,omitempty" json:"last_name"`
	Position    *string            `cbor:"6,keyasint,omitempty" json:"position"`
	Email       *string            `cbor:"7,keyasint,omitempty" json:"email"`
	Props       *map[string]string `cbor:"8,keyasint,omitempty" json:"props"`
	NotifyProps *map[string]string `cbor:"9,keyasint,omitempty" json:"notify_props"`
	Locale      *string            `cbor:"10,keyasint,omitempty" json:"locale"`
	Timezone    *map[string]string `cbor:"11,keyasint,omitempty" json:"timezone"`
}

var reservedUsernames = map[string]bool{"all": true, "channel": true, "matterbot": true, "system": true, "here": true}

// ValidUsername reports whether name can be somebody's: 1–64 of a-z 0-9 . - _, not reserved.
func ValidUsername(name string) bool {
	if name == "" || len(name) > MaxUsername || reservedUsernames[name] {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// What Check refuses of a user.
var (
	badUserUsername    = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.username.app_error"}
	badUserEmail       = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.email.app_error"}
	badUserNickname    = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.nickname.app_error"}
	badUserFirstName   = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.first_name.app_error"}
	badUserLastName    = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.last_name.app_error"}
	badUserPosition    = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.position.app_error"}
	badUserLocale      = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.locale.app_error"}
	badUserProps       = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.props.app_error"}
	badUserNotifyProps = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.notify_props.app_error"}
	badUserTimezone    = Refusal{Kind: KindInvalid, ID: "model.user.is_valid.timezone.app_error"}
)

// Check validates the fields that a client may set.
func (u *User) Check() error {
	switch {
	case !ValidUsername(u.Username):
		return badUserUsername
	case !ValidEmail(u.Email):
		return badUserEmail
	case over(u.Nickname, MaxNickname):
		return badUserNickname.With("max", MaxNickname)
	case over(u.FirstName, MaxName):
		return badUserFirstName.With("max", MaxName)
	case over(u.LastName, MaxName):
		return badUserLastName.With("max", MaxName)
	case over(u.Position, MaxPosition):
		return badUserPosition.With("max", MaxPosition)
	case !optionalName(u.Nickname):
		return badUserNickname.With("reason", "characters")
	case !optionalName(u.FirstName):
		return badUserFirstName.With("reason", "characters")
	case !optionalName(u.LastName):
		return badUserLastName.With("reason", "characters")
	case !optionalName(u.Position):
		return badUserPosition.With("reason", "characters")
	case u.Locale != "" && !validLocale(u.Locale):
		return badUserLocale.With("max", MaxLocale)
	}
	return u.checkSettings()
}

// checkSettings bounds the settings that are sent to all clients with a profile, or kept with it.
func (u *User) checkSettings() error {
	for _, s := range [...]struct {
		refusal Refusal
		values  map[string]string
		limit   int
	}{{badUserProps, u.Props, MaxUserProps}, {badUserNotifyProps, u.NotifyProps, MaxNotifyProps}, {badUserTimezone, u.Timezone, MaxTimezone}} {
		size := 0
		for k, v := range s.values {
			size += len(k) + len(v)
		}
		if size > s.limit {
			return s.refusal.With("max", s.limit)
		}
	}
	if status := u.Props[propCustomStatus]; status != "" && !validStatus(status) {
		return badUserProps.With("reason", "custom_status")
	}
	if !validTimezone(u.Timezone) {
		return badUserTimezone.With("reason", "zone")
	}
	return nil
}

// DefaultNotifyProps are a new account's notification settings.
func DefaultNotifyProps() map[string]string {
	return map[string]string{
		"email": "true", "push": "mention", "desktop": "mention", "desktop_sound": "true", "mention_keys": "",
		"channel": "true", "push_status": "online", "comments": "never", "first_name": "false",
		"desktop_threads": "all", "email_threads": "all", "push_threads": "all",
	}
}

// DefaultTimezone is a new account's time zone setting.
func DefaultTimezone() map[string]string {
	return map[string]string{"automaticTimezone": "", "manualTimezone": "", "useAutomaticTimezone": "true"}
}

func over(s string, runes int) bool { return len(s) > runes && utf8.RuneCountInString(s) > runes }
