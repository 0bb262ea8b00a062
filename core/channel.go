package core

import "encoding/json"

// Limits of channels, in runes unless said otherwise.
const (
	MaxChannelName        = 64 // bytes
	MaxChannelDisplayName = 64
	MaxChannelHeader      = 1024
	MaxChannelPurpose     = 250
)

// Channel types.
const (
	ChannelOpen    = "O"
	ChannelPrivate = "P"
	ChannelDirect  = "D"
	ChannelGroup   = "G"
)

// The channels that every team has. TownSquare can be neither left nor archived.
const (
	TownSquare = "town-square"
	OffTopic   = "off-topic"
)

// Channel is a place to post.
type Channel struct {
	ID                ChannelID `cbor:"1,keyasint" json:"id" db:"id"`
	CreateAt          int64     `cbor:"2,keyasint" json:"create_at" db:"create_at"`
	UpdateAt          int64     `cbor:"3,keyasint" json:"update_at" db:"update_at"`
	DeleteAt          int64     `cbor:"4,keyasint,omitempty" json:"delete_at" db:"delete_at"`
	TeamID            TeamID    `cbor:"5,keyasint" json:"team_id" db:"team_id"`
	Type              string    `cbor:"6,keyasint" json:"type" db:"type" max:"1"`
	DisplayName       string    `cbor:"7,keyasint" json:"display_name" db:"display_name" runes:"64"`
	Name              string    `cbor:"8,keyasint" json:"name" db:"name" max:"64"`
	Header            string    `cbor:"9,keyasint,omitempty" json:"header" db:"header" runes:"1024"`
	Purpose           string    `cbor:"10,keyasint,omitempty" json:"purpose" db:"purpose" runes:"250"`
	LastPostAt        int64     `cbor:"11,keyasint,omitempty" json:"last_post_at" db:"last_post_at"`
	TotalMsgCount     int64     `cbor:"12,keyasint,omitempty" json:"total_msg_count" db:"total_msg_count"`
	TotalMsgCountRoot int64     `cbor:"13,keyasint,omitempty" json:"total_msg_count_root" db:"total_msg_count_root"`
	LastRootPostAt    int64     `cbor:"14,keyasint,omitempty" json:"last_root_post_at" db:"last_root_post_at"`
	CreatorID         UserID    `cbor:"15,keyasint" json:"creator_id" db:"creator_id"`
	TotalCalls        int64     `cbor:"16,keyasint,omitempty" json:"-" db:"total_calls"` // how often everybody was mentioned
	TotalCallsRoot    int64     `cbor:"17,keyasint,omitempty" json:"-" db:"total_calls_root"`
}

// ChannelPatch is what may change in a channel. A nil field stays as it is.
type ChannelPatch struct {
	Name        *string `cbor:"2,keyasint,omitempty" json:"name"`
	DisplayName *string `cbor:"3,keyasint,omitempty" json:"display_name"`
	Header      *string `cbor:"4,keyasint,omitempty" json:"header"`
	Purpose     *string `cbor:"5,keyasint,omitempty" json:"purpose"`
}

// ChannelMember says that a user belongs to a channel, and how far they have read.
type ChannelMember struct {
	ChannelID        ChannelID         `cbor:"1,keyasint" db:"channel_id"`
	UserID           UserID            `cbor:"2,keyasint" db:"user_id"`
	TeamID           TeamID            `cbor:"3,keyasint" db:"team_id"` // the channel's team; never changes
	SchemeAdmin      bool              `cbor:"4,keyasint,omitempty" db:"scheme_admin"`
	Explicit         string            `cbor:"5,keyasint,omitempty" db:"explicit" max:"1024"`
	LastViewedAt     int64             `cbor:"6,keyasint,omitempty" db:"last_viewed_at"`
	MsgCount         int64             `cbor:"7,keyasint,omitempty" db:"msg_count"` // how many messages the member has seen
	MsgCountRoot     int64             `cbor:"8,keyasint,omitempty" db:"msg_count_root"`
	MentionCount     int64             `cbor:"9,keyasint,omitempty" db:"mention_count"`
	MentionCountRoot int64             `cbor:"10,keyasint,omitempty" db:"mention_count_root"`
	NotifyProps      map[string]string `cbor:"11,keyasint,omitempty" db:"notify_props" max:"2000"`
	LastUpdateAt     int64             `cbor:"12,keyasint,omitempty" db:"last_update_at"`
	CallCount        int64             `cbor:"13,keyasint,omitempty" db:"call_count"` // how many mentions of everybody the member has seen
	CallCountRoot    int64             `cbor:"14,keyasint,omitempty" db:"call_count_root"`
}

// Roles is the computed roles string.
func (m *ChannelMember) Roles() string { return joinRoles(m.Explicit, "channel", m.SchemeAdmin) }

// MarshalJSON gives the wire form with the computed roles.
func (m ChannelMember) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ChannelID          ChannelID         `json:"channel_id"`
		UserID             UserID            `json:"user_id"`
		Roles              string            `json:"roles"`
		LastViewedAt       int64             `json:"last_viewed_at"`
		MsgCount           int64             `json:"msg_count"`
		MentionCount       int64             `json:"mention_count"`
		MentionCountRoot   int64             `json:"mention_count_root"`
		UrgentMentionCount int64             `json:"urgent_mention_count"`
		MsgCountRoot       int64             `json:"msg_count_root"`
		NotifyProps        map[string]string `json:"notify_props"`
		LastUpdateAt       int64             `json:"last_update_at"`
		SchemeGuest        bool              `json:"scheme_guest"`
		SchemeUser         bool              `json:"scheme_user"`
		SchemeAdmin        bool              `json:"scheme_admin"`
		ExplicitRoles      string            `json:"explicit_roles"`
		AutotranslationOff bool              `json:"autotranslation_disabled"`
	}{
		m.ChannelID, m.UserID, m.Roles(), m.LastViewedAt, m.MsgCount, m.MentionCount, m.MentionCountRoot, 0,
		m.MsgCountRoot, m.NotifyProps, m.LastUpdateAt, false, true, m.SchemeAdmin, m.Explicit, false,
	})
}

// MarshalJSON gives the wire form, with the fields of features that have no state yet.
func (c Channel) MarshalJSON() ([]byte, error) {
	type fields Channel
	return json.Marshal(struct {
		fields
		ExtraUpdateAt       int64   `json:"extra_update_at"`
		SchemeID            *string `json:"scheme_id"`
		Props               *string `json:"props"`
		GroupConstrained    *bool   `json:"group_constrained"`
		Autotranslation     bool    `json:"autotranslation"`
		Shared              *bool   `json:"shared"`
		PolicyID            *string `json:"policy_id"`
		BannerInfo          *string `json:"banner_info"`
		PolicyEnforced      bool    `json:"policy_enforced"`
		DefaultCategoryName string  `json:"default_category_name"`
	}{fields: fields(c)})
}

// DefaultMemberNotifyProps are a new member's notification settings.
func DefaultMemberNotifyProps() map[string]string {
	return map[string]string{
		"desktop": "default", "push": "default", "email": "default", "mark_unread": "all",
		"ignore_channel_mentions": "default", "channel_auto_follow_threads": "off",
	}
}

// ValidChannelName reports whether name can stand in a channel's URL. The form of direct
// channels, two ids with "__" between, is reserved.
func ValidChannelName(name string) bool {
	if len(name) > MaxChannelName || !urlName(name, true) {
		return false
	}
	return len(name) != 2*IDLength+2 || name[IDLength:IDLength+2] != "__"
}

// What Check refuses of a channel.
var (
	badChannelDisplayName = Refusal{Kind: KindInvalid, ID: "model.channel.is_valid.display_name.app_error"}
	badChannelName        = Refusal{Kind: KindInvalid, ID: "model.channel.is_valid.1_or_more.app_error"}
	badChannelType        = Refusal{Kind: KindInvalid, ID: "model.channel.is_valid.type.app_error"}
	badChannelHeader      = Refusal{Kind: KindInvalid, ID: "model.channel.is_valid.header.app_error"}
	badChannelPurpose     = Refusal{Kind: KindInvalid, ID: "model.channel.is_valid.purpose.app_error"}
)

// Check validates the fields that a client may set.
func (c *Channel) Check() error {
	switch {
	case c.DisplayName == "" || over(c.DisplayName, MaxChannelDisplayName):
		return badChannelDisplayName
	case !ValidName(c.DisplayName):
		return badChannelDisplayName.With("reason", "characters")
	case !ValidChannelName(c.Name):
		return badChannelName
	case c.Type != ChannelOpen && c.Type != ChannelPrivate:
		return badChannelType
	case over(c.Header, MaxChannelHeader):
		return badChannelHeader
	case over(c.Purpose, MaxChannelPurpose):
		return badChannelPurpose
	}
	return nil
}
