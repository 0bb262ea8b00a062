package replica_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

const tripsBatch = 100

// town is a log with many users, and objects of every kind for each of them.
type town struct {
	*log
	people   []command.Caller
	users    []core.UserID
	other    core.TeamID // a second team with only its creator as a member
	root     core.PostID // all users reply to it
	rooms    map[int]core.ChannelID
	posts    map[int]core.PostID
	files    map[int]core.FileID
	uploads  map[int]core.UploadID
	sessions map[int]core.SessionID
	teams    map[int]core.TeamID
}

func newTown(t testing.TB, people int) (*town, []core.Entry) {
	w := &town{
		log: newLog(t), rooms: map[int]core.ChannelID{}, posts: map[int]core.PostID{}, files: map[int]core.FileID{},
		uploads: map[int]core.UploadID{}, sessions: map[int]core.SessionID{}, teams: map[int]core.TeamID{},
	}
	out := w.begin()
	w.other = id[core.Team](w.log)
	out = append(out, w.team(w.other, "other"))
	for i := range people {
		u, by := id[core.User](w.log), command.Caller{Session: id[core.Session](w.log)}
		name := fmt.Sprint("user", i)
		out = append(out,
			w.Entry(command.Caller{}, &command.CreateUser{OpenServer: true, User: core.User{ID: u, Username: name, Email: name + "@x.org", PasswordSeal: core.Seal{1}}}),
			w.Entry(command.Caller{}, w.signIn(u, by.Session)),
			w.Entry(w.by, &command.AddTeamMember{TeamID: w.log.team, UserID: u}),
			w.Entry(w.by, &command.AddChannelMember{ChannelID: w.log.room, UserID: u}))
		w.users, w.people = append(w.users, u), append(w.people, by)
	}
	return w, out
}

func (w *town) signIn(u core.UserID, s core.SessionID) command.Command {
	return &command.CreateSession{PasswordSeal: core.Seal{1}, Session: core.Session{ID: s, UserID: u, Token: core.HashToken(s.String()).Seal()}}
}

func (w *town) team(t core.TeamID, name string) core.Entry {
	return w.Entry(w.by, &command.CreateTeam{Team: core.Team{ID: t, Name: name, DisplayName: name, Type: core.TeamOpen, AllowOpenInvite: true}})
}

func blobRef(text string, size int64) core.BlobRef {
	return core.BlobRef{ID: sha256.Sum256([]byte(text)), Size: size}
}

// The methods below make the objects of a user.

func (w *town) newTeam(i int) core.Entry {
	w.teams[i] = id[core.Team](w.log)
	return w.team(w.teams[i], fmt.Sprint("team", w.Index))
}

func (w *town) newRoom(i int) core.Entry {
	w.rooms[i] = id[core.Channel](w.log)
	return w.Entry(w.by, &command.CreateChannel{Channel: core.Channel{ID: w.rooms[i], TeamID: w.log.team, Name: fmt.Sprint("room", w.Index), DisplayName: "R", Type: core.ChannelOpen}})
}

// newPost posts in the common channel, as a reply if root is a post.
func (w *town) newPost(i int, root core.PostID, files ...core.FileID) core.Entry {
	e := w.Entry(w.people[i], &command.CreatePost{Mentions: []string{"user0", "user1"}, Post: core.Post{ChannelID: w.log.room, RootID: root, Message: "hello", FileIDs: files}})
	var p core.Post
	if err := command.DecodeOutcome(w.Model.Receipts[e.Index].Outcome, &p); err != nil {
		panic(err)
	}
	w.posts[i] = p.ID
	return e
}

func (w *town) newFile(i int) core.Entry {
	w.files[i] = id[core.File](w.log)
	return w.Entry(w.people[i], &command.CreateFile{Text: "text", File: w.file(w.files[i])})
}

func (w *town) file(f core.FileID) core.File {
	content := blobRef(f.String(), 9)
	return core.File{ID: f, ChannelID: w.log.room, Name: "f.txt", Size: content.Size, Content: content, Thumbnail: blobRef("t"+f.String(), 5)}
}

func (w *town) newUpload(i int) core.Entry {
	w.uploads[i] = id[core.Upload](w.log)
	return w.Entry(w.people[i], &command.CreateUpload{Upload: core.Upload{ID: w.uploads[i], Type: core.UploadAttachment, ChannelID: w.log.room, Filename: "f", FileSize: 9}})
}

func (w *town) part(i int) core.Entry {
	return w.Entry(w.people[i], &command.AppendUpload{UploadID: w.uploads[i], Part: blobRef(fmt.Sprint("part", i), 9)})
}

func (w *town) newSession(i int) core.Entry {
	w.sessions[i] = id[core.Session](w.log)
	return w.Entry(command.Caller{}, w.signIn(w.users[i], w.sessions[i]))
}

// tripsCase says how one command is measured: ready makes what it needs, do gives the command.
type tripsCase struct {
	ready func(i int) []core.Entry
	do    func(i int) core.Entry
}

// moreCases has the cases of nouns with a test file of their own.
var moreCases []func(w *town) map[reflect.Type]tripsCase

func (w *town) cases() map[reflect.Type]tripsCase {
	word := "word"
	as := func(i int, c command.Command) core.Entry { return w.Entry(w.people[i], c) }
	admin := func(c command.Command) core.Entry { return w.Entry(w.by, c) }
	list := func(e ...core.Entry) []core.Entry { return e }
	prefs := func(i int) []core.Preference {
		return []core.Preference{{UserID: w.users[i], Category: "c", Name: "n", Value: "v"}}
	}
	out := map[reflect.Type]tripsCase{
		reflect.TypeFor[command.CreateUser](): {do: func(int) core.Entry {
			name := fmt.Sprint("new", w.Index)
			return admin(&command.CreateUser{User: core.User{ID: id[core.User](w.log), Username: name, Email: name + "@x.org", PasswordSeal: core.Seal{1}}})
		}},
		reflect.TypeFor[command.PatchUser](): {do: func(i int) core.Entry {
			return as(i, &command.PatchUser{UserID: w.users[i], UserPatch: core.UserPatch{Nickname: &word}})
		}},
		reflect.TypeFor[command.SetUserImage](): {do: func(i int) core.Entry {
			return as(i, &command.SetUserImage{UserID: w.users[i], Picture: blobRef(fmt.Sprint("picture", i), 7)})
		}},
		reflect.TypeFor[command.RaiseVersion](): {do: func(int) core.Entry { return admin(&command.RaiseVersion{To: 1}) }},
		reflect.TypeFor[command.ContinueTask](): {ready: func(i int) []core.Entry {
			out := list(w.newPost(i, core.PostID{}))
			for root := w.posts[i]; len(out) <= 9; w.posts[i] = root {
				out = append(out, w.newPost(i, root))
			}
			return append(out, as(i, &command.DeletePost{PostID: w.posts[i]}))
		}, do: func(i int) core.Entry {
			task := core.TaskIDOf(core.Task{Kind: core.TaskDeleteThread, PostID: w.posts[i], UserID: w.users[i]})
			if _, begun := apply.Tasks.Get(apply.Direct{Store: w.Model}, task); !begun {
				panic("no task to continue")
			}
			return admin(&command.ContinueTask{TaskID: task, Step: 1})
		}},
		reflect.TypeFor[command.CreateSession](): {do: w.newSession},
		reflect.TypeFor[command.EndSession]():    {ready: func(i int) []core.Entry { return list(w.newSession(i)) }, do: func(i int) core.Entry { return as(i, &command.EndSession{SessionID: w.sessions[i]}) }},

		reflect.TypeFor[command.CreateTeam](): {do: w.newTeam},
		reflect.TypeFor[command.PatchTeam](): {ready: func(i int) []core.Entry { return list(w.newTeam(i)) }, do: func(i int) core.Entry {
			return admin(&command.PatchTeam{TeamID: w.teams[i], TeamPatch: core.TeamPatch{Description: &word}})
		}},
		reflect.TypeFor[command.DeleteTeam](): {ready: func(i int) []core.Entry { return list(w.newTeam(i)) }, do: func(i int) core.Entry { return admin(&command.DeleteTeam{TeamID: w.teams[i]}) }},
		reflect.TypeFor[command.AddTeamMember](): {ready: func(i int) []core.Entry { return list(w.newTeam(i)) }, do: func(i int) core.Entry {
			return admin(&command.AddTeamMember{TeamID: w.teams[i], UserID: w.users[i]})
		}},
		reflect.TypeFor[command.RemoveTeamMember](): {ready: func(i int) []core.Entry {
			return list(w.newTeam(i), admin(&command.AddTeamMember{TeamID: w.teams[i], UserID: w.users[i]}))
		}, do: func(i int) core.Entry {
			return admin(&command.RemoveTeamMember{TeamID: w.teams[i], UserID: w.users[i]})
		}},

		reflect.TypeFor[command.CreateChannel](): {do: w.newRoom},
		reflect.TypeFor[command.PatchChannel](): {ready: func(i int) []core.Entry { return list(w.newRoom(i)) }, do: func(i int) core.Entry {
			return admin(&command.PatchChannel{ChannelID: w.rooms[i], ChannelPatch: core.ChannelPatch{Header: &word}})
		}},
		reflect.TypeFor[command.DeleteChannel](): {ready: func(i int) []core.Entry { return list(w.newRoom(i)) }, do: func(i int) core.Entry { return admin(&command.DeleteChannel{ChannelID: w.rooms[i]}) }},
		reflect.TypeFor[command.AddChannelMember](): {ready: func(i int) []core.Entry { return list(w.newRoom(i)) }, do: func(i int) core.Entry {
			return as(i, &command.AddChannelMember{ChannelID: w.rooms[i], UserID: w.users[i]})
		}},
		reflect.TypeFor[command.RemoveChannelMember](): {ready: func(i int) []core.Entry {
			return list(w.newRoom(i), as(i, &command.AddChannelMember{ChannelID: w.rooms[i], UserID: w.users[i]}))
		}, do: func(i int) core.Entry {
			return as(i, &command.RemoveChannelMember{ChannelID: w.rooms[i], UserID: w.users[i]})
		}},
		reflect.TypeFor[command.ViewChannel](): {do: func(i int) core.Entry { return as(i, &command.ViewChannel{Channels: []core.ChannelID{w.log.room}}) }},

		reflect.TypeFor[command.CreatePost](): {ready: func(i int) []core.Entry { return list(w.newFile(i)) }, do: func(i int) core.Entry {
			return w.newPost(i, w.root, w.files[i])
		}},
		reflect.TypeFor[command.PatchPost](): {ready: func(i int) []core.Entry { return list(w.newPost(i, core.PostID{})) }, do: func(i int) core.Entry {
			return as(i, &command.PatchPost{PostID: w.posts[i], PostPatch: core.PostPatch{Message: &word}})
		}},
		reflect.TypeFor[command.DeletePost](): {ready: func(i int) []core.Entry {
			return list(w.newFile(i), w.newPost(i, core.PostID{}), w.newPost(i, w.posts[i], w.files[i]))
		}, do: func(i int) core.Entry { return as(i, &command.DeletePost{PostID: w.posts[i]}) }},
		reflect.TypeFor[command.AddReaction](): {ready: func(i int) []core.Entry { return list(w.newPost(i, core.PostID{})) }, do: func(i int) core.Entry {
			return as(i, &command.AddReaction{PostID: w.posts[i], EmojiName: "smile"})
		}},
		reflect.TypeFor[command.RemoveReaction](): {ready: func(i int) []core.Entry {
			return list(w.newPost(i, core.PostID{}), as(i, &command.AddReaction{PostID: w.posts[i], EmojiName: "smile"}))
		}, do: func(i int) core.Entry {
			return as(i, &command.RemoveReaction{PostID: w.posts[i], UserID: w.users[i], EmojiName: "smile"})
		}},

		reflect.TypeFor[command.SetPreferences]():    {do: func(i int) core.Entry { return as(i, &command.SetPreferences{Preferences: prefs(i)}) }},
		reflect.TypeFor[command.DeletePreferences](): {do: func(i int) core.Entry { return as(i, &command.DeletePreferences{Preferences: prefs(i)}) }},

		reflect.TypeFor[command.CreateFile](): {do: w.newFile},
		reflect.TypeFor[command.ShareFile](): {ready: func(i int) []core.Entry { return list(w.newFile(i)) }, do: func(i int) core.Entry {
			return as(i, &command.ShareFile{FileID: w.files[i], Link: blobRef(fmt.Sprint("link", w.Index), 0).ID})
		}},
		reflect.TypeFor[command.ExpireLinks]():  {do: func(int) core.Entry { return admin(&command.ExpireLinks{}) }},
		reflect.TypeFor[command.CreateUpload](): {do: w.newUpload},
		reflect.TypeFor[command.AppendUpload](): {ready: func(i int) []core.Entry { return list(w.newUpload(i)) }, do: w.part},
		reflect.TypeFor[command.FinishUpload](): {ready: func(i int) []core.Entry { return list(w.newUpload(i), w.part(i)) }, do: func(i int) core.Entry {
			return as(i, &command.FinishUpload{UploadID: w.uploads[i], File: w.file(id[core.File](w.log)), Text: "text"})
		}},
	}
	for _, more := range moreCases {
		maps.Copy(out, more(w))
	}
	return out
}

// tripsNode is a replica that counts how often it waits for its database.
type tripsNode struct {
	*node
	registry *prometheus.Registry
}

func newTripsNode(t *testing.T) tripsNode {
	n := tripsNode{registry: prometheus.NewRegistry()}
	n.node = newNode(t, pgtest.Database(t), func(c *replica.Config) { c.Metrics, c.FlushEvery = n.registry, limit })
	return n
}

func (n tripsNode) trips(t *testing.T) int {
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "nearside_apply_round_trips_total" {
			return int(f.Metric[0].Counter.GetValue())
		}
	}
	t.Fatal("round trips are not counted")
	return 0
}

// alone are the commands that read only rows that they, or commands before them, have read or written. The others
// must also learn that something does not exist yet.
var alone = []reflect.Type{
	reflect.TypeFor[command.VerifyEmail](), reflect.TypeFor[command.ReportAudits](), reflect.TypeFor[command.EndSession](),
	reflect.TypeFor[command.PatchTeam](), reflect.TypeFor[command.DeleteTeam](),
	reflect.TypeFor[command.PatchChannel](), reflect.TypeFor[command.DeleteChannel](), reflect.TypeFor[command.RemoveChannelMember](),
	reflect.TypeFor[command.ViewChannel](), reflect.TypeFor[command.CreatePost](), reflect.TypeFor[command.PatchPost](),
	reflect.TypeFor[command.DeletePreferences](), reflect.TypeFor[command.ExpireLinks](),
}

// A batch of any command takes at most two round trips if the rows that it reads were read or written before: one
// to learn what does not exist, if it must, and one to write.
func TestReplica_WarmBatchTakesTwoRoundTrips(t *testing.T) {
	w, people := newTown(t, 2*tripsBatch)
	n := newTripsNode(t)
	accepted(t, n.apply(t, people...))
	accepted(t, n.apply(t, w.newPost(0, core.PostID{})))
	w.root = w.posts[0]
	cases := w.cases()
	refused := map[reflect.Type]bool{reflect.TypeFor[command.RaiseVersion](): true} // to the version that it is in
	types := command.Types()
	for _, number := range slices.Sorted(maps.Keys(types)) {
		typ := types[number]
		c, ok := cases[typ]
		if !ok {
			t.Errorf("%v is not measured", typ)
			continue
		}
		batch := func(from int) (trips int) {
			var ready, do []core.Entry
			for i := from; i < from+tripsBatch; i++ {
				if c.ready != nil {
					ready = append(ready, c.ready(i)...)
				}
			}
			if len(ready) > 0 {
				accepted(t, n.apply(t, ready...))
			}
			for i := from; i < from+tripsBatch; i++ {
				do = append(do, c.do(i))
			}
			before := n.trips(t)
			got := n.apply(t, do...)
			if !refused[typ] {
				accepted(t, got)
			}
			return n.trips(t) - before
		}
		batch(0)
		want := 2
		if slices.Contains(alone, typ) {
			want = 1
		}
		if got := batch(tripsBatch); got != want {
			t.Errorf("a warm batch of command %d, %v, takes %d round trips, not %d", number, typ, got, want)
		}
	}
}

// A replica that has just started has no rows in memory, and still reads many rows in one round trip.
func TestReplica_ColdBatchTakesSixRoundTrips(t *testing.T) {
	const rooms = 100
	w, people := newTown(t, 1)
	n := newTripsNode(t)
	accepted(t, n.apply(t, people...))
	for i := range rooms {
		accepted(t, n.apply(t, w.newRoom(i)))
	}
	cold := tripsNode{registry: prometheus.NewRegistry()}
	cold.node = newNode(t, n.cfg, func(c *replica.Config) { c.Metrics, c.FlushEvery = cold.registry, limit })
	var posts []core.Entry
	for i := range rooms {
		posts = append(posts, w.Entry(w.by, &command.CreatePost{Post: core.Post{ChannelID: w.rooms[i], Message: "hello"}, Mentions: []string{"user0"}}))
	}
	before := cold.trips(t)
	accepted(t, cold.apply(t, posts...))
	if got := cold.trips(t) - before; got > 6 {
		t.Errorf("100 posts in 100 channels take a cold replica %d round trips", got)
	} else {
		t.Logf("%d round trips", got)
	}
}

// However large the rows are that a batch reads, they are read a few megabytes at a time, and the
// batch decides as if it had read them at once.
func TestReplica_LargeRowsAreReadInTurns(t *testing.T) {
	const posts, threads = 168, 8 // of the largest rows there can be
	w, people := newTown(t, posts)
	n := newNode(t, pgtest.Database(t))
	accepted(t, n.apply(t, people...))
	large, text := map[string]any{"text": strings.Repeat("x", core.MaxProps-100)}, strings.Repeat("🦆", 16_000)
	for i := range posts {
		accepted(t, n.apply(t, w.post(i, core.PostID{}, text, large)))
	}
	roots := maps.Clone(w.posts)
	for i := range posts {
		accepted(t, n.apply(t, w.post(i, roots[i%threads], text, large)))
	}
	yes := true
	var pins, deletes []core.Entry
	for i := range posts {
		pins = append(pins, w.Entry(w.people[i], &command.PatchPost{PostID: roots[i], PostPatch: core.PostPatch{IsPinned: &yes}}))
	}
	for i := range threads {
		deletes = append(deletes, w.Entry(w.people[i], &command.DeletePost{PostID: roots[i]}))
	}
	for _, batch := range [][]core.Entry{pins, deletes} {
		cold := tripsNode{registry: prometheus.NewRegistry()}
		cold.node = newNode(t, n.cfg, func(c *replica.Config) { c.Metrics, c.FlushEvery = cold.registry, limit })
		before := cold.trips(t)
		accepted(t, cold.apply(t, batch...))
		if got := cold.trips(t) - before; got < 5 || got > 20 {
			t.Errorf("12 MB of rows are read in %d round trips", got)
		} else {
			t.Logf("%d round trips", got)
		}
		n = cold.node
	}
	if got := n.Position().Digest; got != w.Model.Digest {
		t.Errorf("the digest is %v, over maps %v", got, w.Model.Digest)
	}
}
