package replica_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/schema"
)

// hostile is a town in which everything is as large as it may be, and a source of entries that make
// use of it: random ones, the same for a seed.
type hostile struct {
	*town
	rnd   *rand.Rand
	scale float64
	names []string
	out   []core.Entry // made and not yet taken
}

func newHostile(t testing.TB, seed uint64, scale float64) (*hostile, []core.Entry) {
	w, begin := newTown(t, max(3, upTo(core.MaxMentions, scale)))
	h := &hostile{town: w, rnd: rand.New(rand.NewPCG(seed, 3)), scale: scale}
	for i := range w.users {
		h.names = append(h.names, fmt.Sprint("user", i))
	}
	return h, begin
}

func (h *hostile) do(i int, c command.Command) { h.out = append(h.out, h.Entry(h.people[i], c)) }

// take gives what was made since the last time.
func (h *hostile) take() []core.Entry {
	out := h.out
	h.out = nil
	return out
}

// n is a number up to a limit, often the limit itself, and size the same of what has a length.
func (h *hostile) n(limit int) int {
	if limit = upTo(limit, h.scale); h.rnd.IntN(2) == 0 {
		return limit
	}
	return h.rnd.IntN(limit + 1)
}

func (h *hostile) text(limit int) string { return strings.Repeat("x", h.n(limit)) }

func (h *hostile) props() map[string]any {
	if h.rnd.IntN(4) == 0 {
		return nil
	}
	return props(h.rnd.Uint64N(shapes), h.n(largest-32<<10)) // the message needs some of a proposal
}

func (h *hostile) somebody() int { return h.rnd.IntN(len(h.people)) }

// some gives a row of a table; the zero row if there is none.
func some[K comparable, T any](h *hostile, t apply.Table[K, T], keep func(*T) bool) (row T) {
	var rows []schema.Row
	for _, r := range h.Model.Rows(t.Shape) {
		if keep((*T)(r)) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return row
	}
	return *(*T)(rows[h.rnd.IntN(len(rows))])
}

// who gives the number of a person; the first one stands for everybody else.
func (h *hostile) who(u core.UserID) int { return max(0, slices.Index(h.users, u)) }

func (h *hostile) post() core.Post {
	return some(h, apply.Posts, func(p *core.Post) bool { return p.DeleteAt == 0 && !p.IsSystem() && p.ChannelID == h.log.room })
}

func (h *hostile) room() core.Channel {
	return some(h, apply.Channels, func(c *core.Channel) bool { return c.TeamID == h.log.team && c.DeleteAt == 0 })
}

// newFiles uploads files for a post of somebody's.
func (h *hostile) newFiles(i, n int) (ids []core.FileID) {
	for range n {
		f := h.file(id[core.File](h.log))
		f.MiniPreview, f.Preview = make([]byte, core.MaxMiniPreview), blobRef("p"+f.ID.String(), 5)
		h.do(i, &command.CreateFile{File: f, Text: h.text(core.MaxFileText)})
		ids = append(ids, f.ID)
	}
	return ids
}

// filled fills tables up to their limits, before anything is tried.
var filled []func(h *hostile)

// attempts is what is tried, by name. The last entry that each makes is the one that counts.
var attempts = map[string]func(h *hostile){
	"create post": func(h *hostile) {
		i := h.somebody()
		p := core.Post{ChannelID: h.log.room, Message: h.text(core.MaxPostRunes), Props: h.props(), FileIDs: h.newFiles(i, h.n(core.MaxFilesPerPost))}
		if root := h.post(); root.RootID.IsZero() && h.rnd.IntN(4) > 0 {
			p.RootID = root.ID
		}
		h.do(i, &command.CreatePost{Post: p, Mentions: h.names[:h.n(len(h.names))]})
	},
	"patch post": func(h *hostile) {
		p, text, to := h.post(), h.text(core.MaxPostRunes), h.props()
		i := h.who(p.UserID)
		files := h.newFiles(i, h.n(core.MaxFilesPerPost))
		h.do(i, &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{Message: &text, Props: &to, FileIDs: &files}})
	},
	"pin post": func(h *hostile) {
		yes := true
		h.do(h.somebody(), &command.PatchPost{PostID: h.post().ID, PostPatch: core.PostPatch{IsPinned: &yes}})
	},
	"delete post": func(h *hostile) {
		p := h.post()
		h.do(h.who(p.UserID), &command.DeletePost{PostID: p.ID})
	},
	"add reaction": func(h *hostile) {
		h.do(h.somebody(), &command.AddReaction{PostID: h.post().ID, EmojiName: emoji[h.rnd.IntN(len(emoji))]})
	},
	"remove reaction": func(h *hostile) {
		r := some(h, apply.Reactions, func(r *core.Reaction) bool { return true })
		h.do(h.who(r.UserID), &command.RemoveReaction{PostID: r.PostID, UserID: r.UserID, EmojiName: r.EmojiName})
	},
	"set preferences": func(h *hostile) {
		i := h.somebody()
		c := &command.SetPreferences{}
		for n := range max(1, h.n(core.MaxPreferencesPerCall)) {
			c.Preferences = append(c.Preferences, core.Preference{UserID: h.users[i], Category: "c", Name: fmt.Sprint(h.rnd.IntN(2)*1000 + n), Value: h.text(5000)})
		}
		h.do(i, c)
	},
	"delete preferences": func(h *hostile) {
		i := h.who(some(h, apply.Preferences, func(*core.Preference) bool { return true }).UserID)
		c := &command.DeletePreferences{}
		for n := range max(1, h.n(core.MaxPreferencesPerCall)) {
			c.Preferences = append(c.Preferences, core.Preference{UserID: h.users[i], Category: "c", Name: fmt.Sprint(h.rnd.IntN(2)*1000 + n)})
		}
		h.do(i, c)
	},
	"patch user": func(h *hostile) {
		i := h.somebody()
		large := map[string]string{"a": h.text(core.MaxUserProps - 1)}
		h.do(i, &command.PatchUser{UserID: h.users[i], UserPatch: core.UserPatch{Props: &large}})
	},
	"sign in": func(h *hostile) {
		h.out = append(h.out, h.newSession(h.somebody()))
	},
	"see channels": func(h *hostile) {
		i := h.somebody()
		c := &command.ViewChannel{}
		for range h.n(300) {
			c.Channels = append(c.Channels, some(h, apply.ChannelMembers, func(m *core.ChannelMember) bool { return m.UserID == h.users[i] }).ChannelID)
		}
		h.do(i, c)
	},
	"leave team": func(h *hostile) {
		m := some(h, apply.ChannelMembers, func(m *core.ChannelMember) bool { return m.TeamID == h.log.team })
		h.do(h.who(m.UserID), &command.RemoveTeamMember{TeamID: h.log.team, UserID: m.UserID})
	},
	"join team": func(h *hostile) {
		h.out = append(h.out, h.Entry(h.by, &command.AddTeamMember{TeamID: h.log.team, UserID: h.users[h.somebody()]}))
	},
	"continue a task": func(h *hostile) {
		t := some(h, apply.Tasks, func(*core.Task) bool { return true })
		h.do(0, &command.ContinueTask{TaskID: t.ID, Step: t.Steps})
	},
	"create channel": func(h *hostile) {
		h.out = append(h.out, h.newRoom(0))
	},
	"patch channel": func(h *hostile) {
		header, purpose, name := h.text(core.MaxChannelHeader), h.text(core.MaxChannelPurpose), "X"+h.text(core.MaxChannelDisplayName-1)
		h.do(h.somebody(), &command.PatchChannel{ChannelID: h.room().ID, ChannelPatch: core.ChannelPatch{Header: &header, Purpose: &purpose, DisplayName: &name}})
	},
	"join channel": func(h *hostile) {
		i := h.somebody()
		h.do(i, &command.AddChannelMember{ChannelID: h.room().ID, UserID: h.users[i]})
	},
	"create upload": func(h *hostile) {
		h.out = append(h.out, h.newUpload(h.somebody()))
	},
	"append to an upload": func(h *hostile) {
		up := some(h, apply.Uploads, func(up *core.Upload) bool { return up.DeleteAt == 0 && up.FileOffset < up.FileSize })
		h.do(h.who(up.UserID), &command.AppendUpload{UploadID: up.ID, Offset: up.FileOffset, Part: blobRef(up.ID.String(), 1)})
	},
	"finish an upload": func(h *hostile) {
		up := some(h, apply.Uploads, func(up *core.Upload) bool { return up.DeleteAt == 0 && up.FileOffset == up.FileSize })
		h.out = append(h.out, h.finish(h.who(up.UserID), up.ID, int(up.FileSize)))
	},
}

// grow makes a post with everything that a post can have, in a thread of others like it, and fills
// the other tables up to their limits.
func (h *hostile) grow() []core.Entry {
	h.do(0, &command.CreatePost{Post: core.Post{ChannelID: h.log.room, Message: "hello", FileIDs: h.newFiles(0, core.MaxFilesPerPost)}})
	root := h.post()
	for i := range upTo(core.MaxReactionsOfPost, h.scale) {
		h.do(i/50%len(h.people), &command.AddReaction{PostID: root.ID, EmojiName: emoji[i%len(emoji)]})
	}
	for i := range h.people {
		p := core.Post{ChannelID: h.log.room, RootID: root.ID, Message: "hello"}
		if i < 12 {
			p.Props, p.FileIDs = props(uint64(i), upTo(largest, h.scale)), h.newFiles(i, core.MaxFilesPerPost)
		}
		h.do(i, &command.CreatePost{Post: p})
		large := map[string]string{"a": strings.Repeat("x", core.MaxUserProps-1)}
		h.do(i, &command.PatchUser{UserID: h.users[i], UserPatch: core.UserPatch{Props: &large}})
	}
	to := props(1, upTo(largest, h.scale))
	h.do(0, &command.PatchPost{PostID: root.ID, PostPatch: core.PostPatch{Props: &to}})
	for i := range upTo(300, h.scale) {
		h.out = append(h.out, h.newRoom(i))
		for _, who := range []int{0, 1} {
			h.do(who, &command.AddChannelMember{ChannelID: h.rooms[i], UserID: h.users[who]})
		}
	}
	for i := range 2 { // one that can be finished, and one that can be added to
		n := upTo(core.MaxUploadParts, h.scale)
		ready, _ := h.fullUpload(i, n-i, n)
		h.out = append(h.out, ready...)
	}
	for _, fill := range filled {
		fill(h)
	}
	return h.take()
}

// hostileWorst lets a generator try for so many entries, and gives what each takes. It returns the kinds
// of which none was accepted.
func hostileWorst(t testing.TB, seed uint64, tries int, scale float64, found func(name string, c cost)) (refused []string) {
	h, begin := newHostile(t, seed, scale)
	all := subjects(t, begin)
	grown := h.grow()
	for _, s := range all {
		s.ready(t, grown)
	}
	kinds := slices.Sorted(maps.Keys(attempts))
	accepted := map[string]bool{}
	for n := range tries {
		kind := kinds[n%len(kinds)]
		attempts[kind](h)
		made := h.take()
		for cache, s := range all {
			s.ready(t, made[:len(made)-1])
			c := s.cost(t, made[len(made)-1])
			accepted[kind] = accepted[kind] || c.refused == nil
			found(fmt.Sprintf("try %d, %s, %s", n, kind, cache), c)
		}
	}
	return slices.DeleteFunc(kinds, func(kind string) bool { return accepted[kind] })
}
