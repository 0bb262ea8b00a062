package apply

import "github.com/nearside/nearside/core"

// Table is one replicated table by its primary key. Values are copied in and out; the slices
// and maps in them are shared and must not be changed in place.
type Table[K comparable, T any] interface {
	Get(key K) (T, bool)
	Put(row T)
	Delete(key K)
}

// Lookup finds a row's primary key by another unique value of it.
type Lookup[V, K comparable] interface {
	Find(value V) (K, bool)
}

// Scans are the few questions that need more than one row. Their order is total and the same
// on every replica. They see the writes of the entry being applied.
type Scans interface {
	// Load says that all of some rows will be asked for next, so that they are read at once.
	Load(k *Keys)
	// Replies gives the replies of a root post that are not deleted, oldest first (create_at, id).
	Replies(root core.PostID) []core.Post
	// ChannelsOf gives a user's memberships in the channels of a team, by channel id.
	ChannelsOf(user core.UserID, team core.TeamID) []core.ChannelMember
	// ReactionsOf gives the reactions to a post, oldest first (create_at, user, emoji).
	ReactionsOf(post core.PostID) []core.Reaction
	// UploadsOf gives a user's uploads, oldest first (create_at, id).
	UploadsOf(user core.UserID) []core.Upload
	// OldUploads gives at most n of the uploads that anybody began before a time, oldest first.
	OldUploads(before int64, n int) []core.Upload
}

// Store is what core/pg implements and the machine drives.
type Store interface {
	State() *State
	// Mark begins an entry; Revert undoes every write since Mark.
	Mark()
	Revert()
}

// State is everything the machine decides by.
type State struct {
	Users          Table[core.UserID, core.User]
	UserByName     Lookup[string, core.UserID]
	UserByEmail    Lookup[string, core.UserID]
	Sessions       Table[core.SessionID, core.Session]
	Teams          Table[core.TeamID, core.Team]
	TeamByName     Lookup[string, core.TeamID]
	TeamMembers    Table[TeamUser, core.TeamMember]
	Channels       Table[core.ChannelID, core.Channel]
	ChannelByName  Lookup[TeamName, core.ChannelID]
	ChannelMembers Table[ChannelUser, core.ChannelMember]
	Posts          Table[core.PostID, core.Post]
	Pending        Table[PendingKey, Pending]
	Preferences    Table[PreferenceKey, core.Preference]
	Reactions      Table[ReactionKey, core.Reaction]
	Files          Table[core.FileID, core.File]
	FileTexts      Table[core.FileID, FileText]
	FileLinks      Table[core.BlobID, FileLink]
	Uploads        Table[core.UploadID, core.Upload]
	Blobs          Table[core.BlobID, core.Blob]
	Counters       Table[string, Counter]
	Scans
}

// TeamUser is the key of a team membership.
type TeamUser struct {
	Team core.TeamID
	User core.UserID
}

// TeamName is a channel's name in its team.
type TeamName struct {
	Team core.TeamID
	Name string
}

// ChannelUser is the key of a channel membership.
type ChannelUser struct {
	Channel core.ChannelID
	User    core.UserID
}

// PendingKey is the name that a client gave a post before it had an id.
type PendingKey struct {
	User    core.UserID
	Pending string
}

// Pending remembers which post a pending post id became, so that a retried send finds it. Rows
// are dropped when they are older than core.DedupeWindow by log time.
type Pending struct {
	PendingKey
	Post core.PostID
	At   int64 // Unix milliseconds
}

// PreferenceKey is the key of a preference.
type PreferenceKey struct {
	User           core.UserID
	Category, Name string
}

// FileText is what can be searched for in the content of a file.
type FileText struct {
	File core.FileID
	Text string
}

// FileLink lets anybody read a file who knows the token that Link is the SHA-256 of.
type FileLink struct {
	Link     core.BlobID
	File     core.FileID
	CreateAt int64
}

// Counter is a number that decisions need and that would be slow to count.
type Counter struct {
	Name  string
	Value int64
}
