package core

// Limits of reactions.
const (
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
	badReactionUserID = Refusal{Kind: KindInvalid, ID: "model.reaction.is_valid.user_id.app_error"}
	badReactionPostID = Refusal{Kind: KindInvalid, ID: "model.reaction.is_valid.post_id.app_error"}
	noEmoji           = Refusal{Kind: KindNotFound, ID: "app.emoji.get_by_name.no_result"}
)

// Check validates the fields that a client may set. The emoji must exist: clients show a hole for one that does not.
func (r *Reaction) Check() error {
	switch {
	case r.UserID.IsZero():
		return badReactionUserID
	case r.PostID.IsZero():
		return badReactionPostID
	case !EmojiExists(r.EmojiName):
		return noEmoji.With("name", r.EmojiName)
	}
	return nil
}
