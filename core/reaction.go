package core

import "strings"

// Limits of reactions.
const (
	MaxEmojiName        = 64
	MaxReactionsPerPost = 50 // distinct emoji
	MaxReactionsOfPost  = 1000
)

// Reaction is an emoji that somebody put under a post.
type Reaction struct {
	UserID    UserID    `cbor:"1,keyasint" json:"user_id" db:"user_id"`
	PostID    PostID    `cbor:"2,keyasint" json:"post_id" db:"post_id"`
	EmojiName string    `cbor:"3,keyasint" json:"emoji_name" db:"emoji_name" max:"64"`
	CreateAt  int64     `cbor:"4,keyasint,omitempty" json:"create_at" db:"create_at"`
	UpdateAt  int64     `cbor:"5,keyasint,omitempty" json:"update_at" db:"update_at"`
	DeleteAt  int64     `cbor:"6,keyasint,omitempty" json:"delete_at"`
	RemoteID  string    `cbor:"7,keyasint,omitempty" json:"remote_id"`
	ChannelID ChannelID `cbor:"8,keyasint" json:"channel_id" db:"channel_id"`
}

// What Check refuses of a reaction.
var (
	badReactionUserID    = Refusal{Kind: KindInvalid, ID: "model.reaction.is_valid.user_id.app_error"}
	badReactionPostID    = Refusal{Kind: KindInvalid, ID: "model.reaction.is_valid.post_id.app_error"}
	badReactionEmojiName = Refusal{Kind: KindInvalid, ID: "model.reaction.is_valid.emoji_name.app_error"}
)

// Check validates the fields that a client may set. It does not check that an emoji of that name
// exists: clients show unknown names as text.
func (r *Reaction) Check() error {
	switch {
	case r.UserID.IsZero():
		return badReactionUserID
	case r.PostID.IsZero():
		return badReactionPostID
	case !ValidEmojiName(r.EmojiName):
		return badReactionEmojiName
	}
	return nil
}

// ValidEmojiName reports whether name can be an emoji's.
func ValidEmojiName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_"
	return name != "" && len(name) <= MaxEmojiName && strings.Trim(name, allowed) == ""
}
