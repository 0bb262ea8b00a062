package core

import (
	"encoding/json"
	"strings"
)

// Limits of posts.
const (
	MaxPostRunes      = 16383
	MaxHashtagRunes   = 1000
	MaxProps          = 16 << 10 // bytes, as JSON
	MaxPropsValues    = 1000     // names are not counted
	MaxPendingPostID  = 64       // bytes
	MaxMentions       = 200
	MaxThreadPeople   = 100 // participants kept with a thread
	SystemPostPrefix  = "system_"
	TypeJoinChannel   = "system_join_channel"
	TypeLeaveChannel  = "system_leave_channel"
	TypeAddToChannel  = "system_add_to_channel"
	TypeRemoveFromCh  = "system_remove_from_channel"
	TypeJoinTeam      = "system_join_team"
	TypeLeaveTeam     = "system_leave_team"
	TypeAddToTeam     = "system_add_to_team"
	TypeRemoveFromTm  = "system_remove_from_team"
	TypeHeaderChange  = "system_header_change"
	TypePurposeChange = "system_purpose_change"
	TypeDisplayChange = "system_displayname_change"
	TypeChannelDelete = "system_channel_deleted"
)

// Post is a message.
type Post struct {
	ID            PostID         `cbor:"1,keyasint" json:"id" db:"id"`
	CreateAt      int64          `cbor:"2,keyasint" json:"create_at" db:"create_at"`
	UpdateAt      int64          `cbor:"3,keyasint" json:"update_at" db:"update_at"`
	EditAt        int64          `cbor:"4,keyasint,omitempty" json:"edit_at" db:"edit_at"`
	DeleteAt      int64          `cbor:"5,keyasint,omitempty" json:"delete_at" db:"delete_at"`
	IsPinned      bool           `cbor:"6,keyasint,omitempty" json:"is_pinned" db:"is_pinned"`
	UserID        UserID         `cbor:"7,keyasint" json:"user_id" db:"user_id"`
	ChannelID     ChannelID      `cbor:"8,keyasint" json:"channel_id" db:"channel_id"`
	RootID        PostID         `cbor:"9,keyasint" json:"root_id" db:"root_id"`
	OriginalID    PostID         `cbor:"10,keyasint" json:"original_id" db:"original_id"`
	Message       string         `cbor:"11,keyasint,omitempty" json:"message" db:"message" runes:"16383"`
	Type          string         `cbor:"12,keyasint,omitempty" json:"type" db:"type" max:"64"`
	Props         map[string]any `cbor:"13,keyasint,omitempty" json:"props" db:"props" max:"67584"`
	Hashtags      string         `cbor:"14,keyasint,omitempty" json:"hashtags" db:"hashtags" runes:"1000"`
	PendingPostID string         `cbor:"15,keyasint,omitempty" json:"pending_post_id"`
	HasReactions  bool           `cbor:"16,keyasint,omitempty" json:"has_reactions,omitempty" db:"has_reactions"`

	// Set for a root post, from its thread.
	ReplyCount   int64         `cbor:"17,keyasint,omitempty" json:"reply_count" db:"reply_count"`
	LastReplyAt  int64         `cbor:"18,keyasint,omitempty" json:"last_reply_at" db:"last_reply_at"`
	Participants []Participant `cbor:"19,keyasint,omitempty" json:"participants" db:"participants" max:"100"` // most recent replier last

	FileIDs []FileID `cbor:"20,keyasint,omitempty" json:"file_ids,omitempty" db:"file_ids" max:"10"` // files of the same channel and user; a file is in one post only

	Mentioned []UserID `cbor:"21,keyasint,omitempty" json:"-" db:"mentioned" max:"200"` // whose mention counts have it

	Metadata PostMetadata `cbor:"-" json:"metadata"` // joined for the reader; never stored
}

// PostPatch is what may change in a post. A nil field stays as it is.
type PostPatch struct {
	Message  *string         `cbor:"3,keyasint,omitempty" json:"message"`
	Hashtags *string         `cbor:"4,keyasint,omitempty" json:"-"` // those of the message
	Props    *map[string]any `cbor:"5,keyasint,omitempty" json:"props"`
	IsPinned *bool           `cbor:"6,keyasint,omitempty" json:"is_pinned"`
	FileIDs  *[]FileID       `cbor:"7,keyasint,omitempty" json:"file_ids"` // all files that the post has afterwards
}

// Participant is somebody who replied in a thread.
type Participant struct {
	ID UserID `cbor:"1,keyasint" json:"id"`
}

// PostMetadata is what a reader needs beside the post itself.
type PostMetadata struct {
	Reactions []Reaction `json:"reactions,omitempty"`
	Files     []File     `json:"files,omitempty"` // in the order of FileIDs
}

// uncounted are the types that do not count in channel message totals.
var uncounted = map[string]bool{
	"system_join_leave": true, "system_add_remove": true, TypeJoinChannel: true, TypeLeaveChannel: true,
	TypeJoinTeam: true, TypeLeaveTeam: true, TypeAddToChannel: true, TypeRemoveFromCh: true,
	TypeAddToTeam: true, TypeRemoveFromTm: true,
}

// Counts reports whether the post counts in its channel's message totals.
func (p *Post) Counts() bool { return !uncounted[p.Type] }

// IsSystem reports whether the server wrote the post.
func (p *Post) IsSystem() bool { return strings.HasPrefix(p.Type, SystemPostPrefix) }

// What Check refuses of a post.
var (
	badPostMessageLength = Refusal{Kind: KindInvalid, ID: "model.post.is_valid.message_length.app_error"}
	badPostHashtags      = Refusal{Kind: KindInvalid, ID: "model.post.is_valid.hashtags.app_error"}
	badPostProps         = Refusal{Kind: KindInvalid, ID: "model.post.is_valid.props.app_error"}
	badPostPendingPostID = Refusal{Kind: KindInvalid, ID: "model.post.is_valid.pending_post_id.app_error"}
	badPostFileIDs       = Refusal{Kind: KindInvalid, ID: "model.post.is_valid.file_ids.app_error"}
	badPostType          = Refusal{Kind: KindInvalid, ID: "model.post.is_valid.type.app_error"}
)

// Check validates the fields that a client may set.
func (p *Post) Check() error {
	switch {
	case over(p.Message, MaxPostRunes):
		return badPostMessageLength
	case over(p.Hashtags, MaxHashtagRunes):
		return badPostHashtags
	case len(p.PendingPostID) > MaxPendingPostID:
		return badPostPendingPostID
	case len(p.FileIDs) > MaxFilesPerPost:
		return badPostFileIDs
	case !validProps(p.Props):
		return badPostProps.With("reason", "form")
	case len(p.Type) > 26 && !p.IsSystem():
		return badPostType
	}
	return p.checkProps()
}

// checkProps bounds the props, which come along with every list of posts. The table's limit leaves room for
// what the server adds to them.
func (p *Post) checkProps() error {
	if len(p.Props) == 0 {
		return nil
	}
	raw, err := json.Marshal(p.Props)
	if err != nil || len(raw) > MaxProps || values(p.Props) > MaxPropsValues {
		return badPostProps.With("max", MaxProps)
	}
	return nil
}

// values counts the values in a value of JSON.
func values(v any) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += values(e)
		}
	case map[string]any:
		for _, e := range v {
			n += values(e)
		}
	}
	return n
}

// MarshalJSON gives the wire form.
func (p Post) MarshalJSON() ([]byte, error) { return json.Marshal(p.Wire()) }

// Wire gives what to encode for the wire form, in which props is always an object. Encoding it costs half
// of what encoding the post does, because encoding/json reads again what a MarshalJSON has written.
func (p *Post) Wire() any {
	type wire Post
	w := wire(*p)
	if w.Props == nil {
		w.Props = map[string]any{}
	}
	return &w
}
