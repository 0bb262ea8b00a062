package core

import (
	"encoding/json"
	"strings"
)

// Limits of teams.
const (
	MinTeamName        = 2
	MaxTeamName        = 64
	MaxTeamDisplayName = 64
	MaxTeamDescription = 255 // bytes
	MaxCompanyName     = 64
	MaxInviteID        = 64
	MaxAllowedDomains  = 500
	MaxUsersPerTeam    = 50_000
	MaxChannelsPerTeam = 20_000
)

// Team types.
const (
	TeamOpen   = "O"
	TeamInvite = "I"
)

// Team is a group of people with channels of its own.
type Team struct {
	ID                 TeamID `cbor:"1,keyasint" json:"id" db:"id"`
	CreateAt           int64  `cbor:"2,keyasint" json:"create_at" db:"create_at"`
	UpdateAt           int64  `cbor:"3,keyasint" json:"update_at" db:"update_at"`
	DeleteAt           int64  `cbor:"4,keyasint,omitempty" json:"delete_at" db:"delete_at"`
	DisplayName        string `cbor:"5,keyasint" json:"display_name" db:"display_name" runes:"64"`
	Name               string `cbor:"6,keyasint" json:"name" db:"name" max:"64"`
	Description        string `cbor:"7,keyasint,omitempty" json:"description" db:"description" max:"255"`
	Email              string `cbor:"8,keyasint,omitempty" json:"email" db:"email" max:"128"`
	Type               string `cbor:"9,keyasint" json:"type" db:"type" max:"1"`
	CompanyName        string `cbor:"10,keyasint,omitempty" json:"company_name" db:"company_name" runes:"64"`
	AllowedDomains     string `cbor:"11,keyasint,omitempty" json:"allowed_domains" db:"allowed_domains" runes:"500"`
	InviteID           string `cbor:"12,keyasint,omitempty" json:"invite_id" db:"invite_id" max:"64"`
	AllowOpenInvite    bool   `cbor:"13,keyasint,omitempty" json:"allow_open_invite" db:"allow_open_invite"`
	LastTeamIconUpdate int64  `cbor:"14,keyasint,omitempty" json:"last_team_icon_update,omitempty" db:"last_team_icon_update"`
}

// TeamPatch is what may change in a team. A nil field stays as it is.
type TeamPatch struct {
	DisplayName     *string `cbor:"2,keyasint,omitempty" json:"display_name"`
	Description     *string `cbor:"3,keyasint,omitempty" json:"description"`
	CompanyName     *string `cbor:"4,keyasint,omitempty" json:"company_name"`
	AllowedDomains  *string `cbor:"5,keyasint,omitempty" json:"allowed_domains"`
	AllowOpenInvite *bool   `cbor:"6,keyasint,omitempty" json:"allow_open_invite"`
}

// TeamMember says that a user belongs to a team.
type TeamMember struct {
	TeamID      TeamID `cbor:"1,keyasint" db:"team_id"`
	UserID      UserID `cbor:"2,keyasint" db:"user_id"`
	CreateAt    int64  `cbor:"3,keyasint" db:"create_at"`
	DeleteAt    int64  `cbor:"4,keyasint,omitempty" db:"delete_at"`
	SchemeAdmin bool   `cbor:"5,keyasint,omitempty" db:"scheme_admin"`
	Explicit    string `cbor:"6,keyasint,omitempty" db:"explicit" max:"1024"` // roles beyond the scheme's, space-separated
}

// Roles is the computed roles string: explicit ones, then the scheme's.
func (m *TeamMember) Roles() string { return joinRoles(m.Explicit, "team", m.SchemeAdmin) }

// MarshalJSON gives the wire form with the computed roles.
func (m TeamMember) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		TeamID        TeamID `json:"team_id"`
		UserID        UserID `json:"user_id"`
		Roles         string `json:"roles"`
		DeleteAt      int64  `json:"delete_at"`
		SchemeGuest   bool   `json:"scheme_guest"`
		SchemeUser    bool   `json:"scheme_user"`
		SchemeAdmin   bool   `json:"scheme_admin"`
		ExplicitRoles string `json:"explicit_roles"`
	}{m.TeamID, m.UserID, m.Roles(), m.DeleteAt, false, true, m.SchemeAdmin, m.Explicit})
}

func joinRoles(explicit, scope string, admin bool) string {
	out := scope + "_user"
	if explicit != "" {
		out = explicit + " " + out
	}
	if admin {
		out += " " + scope + "_admin"
	}
	return out
}

var reservedTeamPrefixes = []string{
	"admin", "api", "channel", "claim", "error", "files", "help", "landing", "login", "mfa", "oauth",
	"plug", "plugins", "post", "signup", "boards", "playbooks",
}

// ValidTeamName reports whether name can stand in a team's URL.
func ValidTeamName(name string) bool {
	if len(name) < MinTeamName || len(name) > MaxTeamName || !urlName(name, false) {
		return false
	}
	for _, p := range reservedTeamPrefixes {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	return true
}

// urlName reports whether name begins and ends with a lower-case letter or digit, with only dashes
// (and underscores, if allowed) as other characters.
func urlName(name string, underscore bool) bool {
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	for i := range len(name) {
		c := name[i]
		edge := i == 0 || i == len(name)-1 && !underscore
		if !alnum(c) && (edge || c != '-' && (c != '_' || !underscore)) {
			return false
		}
	}
	return name != ""
}

// What Check refuses of a team.
var (
	badTeamDisplayName    = Refusal{Kind: KindInvalid, ID: "model.team.is_valid.name.app_error"}
	badTeamNameLength     = Refusal{Kind: KindInvalid, ID: "model.team.is_valid.url.app_error"}
	badTeamNameCharacters = Refusal{Kind: KindInvalid, ID: "model.team.is_valid.characters.app_error"}
	badTeamDescription    = Refusal{Kind: KindInvalid, ID: "model.team.is_valid.description.app_error"}
	badTeamEmail          = Refusal{Kind: KindInvalid, ID: "model.team.is_valid.email.app_error"}
	badTeamType           = Refusal{Kind: KindInvalid, ID: "model.team.is_valid.type.app_error"}
	badTeamCompany        = Refusal{Kind: KindInvalid, ID: "model.team.is_valid.company.app_error"}
	badTeamDomains        = Refusal{Kind: KindInvalid, ID: "model.team.is_valid.domains.app_error"}
)

// Check validates the fields that a client may set.
func (t *Team) Check() error {
	switch {
	case t.DisplayName == "" || over(t.DisplayName, MaxTeamDisplayName):
		return badTeamDisplayName
	case !ValidName(t.DisplayName):
		return badTeamDisplayName.With("reason", "characters")
	case len(t.Name) > MaxTeamName || len(t.Name) < MinTeamName:
		return badTeamNameLength
	case !ValidTeamName(t.Name):
		return badTeamNameCharacters
	case len(t.Description) > MaxTeamDescription:
		return badTeamDescription
	case t.Email != "" && !ValidEmail(t.Email):
		return badTeamEmail
	case t.Type != TeamOpen && t.Type != TeamInvite:
		return badTeamType
	case over(t.CompanyName, MaxCompanyName):
		return badTeamCompany
	case !optionalName(t.CompanyName):
		return badTeamCompany.With("reason", "characters")
	case over(t.AllowedDomains, MaxAllowedDomains):
		return badTeamDomains
	case !validDomains(t.AllowedDomains):
		return badTeamDomains.With("reason", "domains")
	}
	return nil
}
