package replica_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// What one entry may cost a replica, whoever proposes it.
const worstBytes = 64 << 20

// worstKinds is what a client may try to make one entry expensive. Each gives what must be there
// before, and the entry. scale is from 0 to 1: how far it goes towards the limits.
var worstKinds = map[string]func(w *town, shape uint64, scale float64) (ready []core.Entry, e core.Entry){
	"large props":          largeProps,
	"edit of large props":  editLargeProps,
	"deleted long thread":  deletedThread,
	"reply in long thread": longThread,
	"many mentions":        manyMentions,
	"many reactions":       manyReactions,
	"many memberships":     manyMemberships,
	"many channels seen":   manyViewed,
	"many preferences":     manyPreferences,
	"many parts":           manyParts,
	"many files":           manyFiles,
}

// shaped are the kinds that differ with the shape of props.
var shaped = map[string]bool{"deleted long thread": true, "large props": true, "edit of large props": true}

func upTo(n int, scale float64) int { return max(1, int(float64(n)*scale)) }

// shapes is how many shapes of props there are.
const shapes = 5

// props makes props of about so many bytes in the log, in one of the shapes that cost most.
func props(shape uint64, n int) map[string]any {
	out := map[string]any{}
	switch shape {
	case 0: // one long text
		out["text"] = strings.Repeat("x", n)
	case 1: // as much as fits of many names
		for i := range min(n/36, 10_000) {
			out[fmt.Sprint("name", i)] = strings.Repeat("x", 20)
		}
	case 2: // short texts
		lists(out, min(n, 60_000), func() any { return "x" })
	case 3: // empty maps, which are one byte each in the log
		lists(out, min(n, 20_000), func() any { return map[string]any{} })
	case 4: // as many as a proposal can have
		lists(out, min(n, 60_000), func() any { return map[string]any{} })
	}
	return out
}

// lists adds lists with so many elements.
func lists(to map[string]any, n int, element func() any) {
	for n > 0 {
		list := make([]any, min(n, 16_000))
		for i := range list {
			list[i] = element()
		}
		to[fmt.Sprint("list", n)] = list
		n -= len(list) + 8
	}
}

func (w *town) postProps(i int, root core.PostID, p map[string]any) core.Entry {
	e := w.Entry(w.people[i], &command.CreatePost{Post: core.Post{ChannelID: w.log.room, RootID: root, Message: "hello", Props: p}})
	var made core.Post
	if command.DecodeOutcome(w.Model.Receipts[e.Index].Outcome, &made) == nil {
		w.posts[i] = made.ID
	}
	return e
}

const largest = core.MaxProposalBytes - 4096 // of props, beside the rest of a proposal

func largeProps(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	return nil, w.postProps(0, core.PostID{}, props(shape, upTo(largest, scale)))
}

func editLargeProps(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	ready := w.postProps(0, core.PostID{}, map[string]any{"text": strings.Repeat("x", upTo(largest, scale))})
	text, p := "other", props(shape, upTo(largest, scale))
	return []core.Entry{ready}, w.Entry(w.people[0], &command.PatchPost{PostID: w.posts[0], HistoryID: id[core.Post](w.log), Message: &text, Props: &p})
}

// thread makes a thread with replies that have large props, and gives its root.
func (w *town) thread(replies int, shape uint64, size int) (ready []core.Entry, root core.PostID) {
	ready = append(ready, w.postProps(0, core.PostID{}, nil))
	root = w.posts[0]
	for i := range replies {
		ready = append(ready, w.postProps(i%len(w.people), root, props(shape, size)))
	}
	return ready, root
}

func deletedThread(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	ready, root := w.thread(6, shape, upTo(largest, scale))
	return ready, w.Entry(w.people[0], &command.DeletePost{PostID: root})
}

func longThread(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	ready, root := w.thread(upTo(500, scale), 0, 10)
	return ready, w.postProps(0, root, props(shape, upTo(largest, scale)))
}

func manyMentions(w *town, shape uint64, scale float64) (ready []core.Entry, e core.Entry) {
	var names []string
	large := map[string]string{"a": strings.Repeat("x", upTo(core.MaxUserProps-1, scale))}
	for i := range min(core.MaxMentions, len(w.people)) {
		ready = append(ready, w.Entry(w.people[i], &command.PatchUser{UserID: w.users[i], Props: &large}))
		names = append(names, fmt.Sprint("user", i))
	}
	return ready, w.Entry(w.people[0], &command.CreatePost{Post: core.Post{ChannelID: w.log.room, Message: "hello"}, Mentions: names})
}

func manyReactions(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	ready := []core.Entry{w.newPost(0, core.PostID{})}
	for i := range upTo(core.MaxReactionsOfPost-1, scale) {
		ready = append(ready, w.Entry(w.people[i/50%len(w.people)], &command.AddReaction{PostID: w.posts[0], EmojiName: fmt.Sprint(strings.Repeat("e", 60), i%50)}))
	}
	return ready, w.Entry(w.people[0], &command.RemoveReaction{PostID: w.posts[0], UserID: w.users[0], EmojiName: strings.Repeat("e", 60) + "0"})
}

func manyMemberships(w *town, shape uint64, scale float64) (ready []core.Entry, e core.Entry) {
	for i := range upTo(250, scale) {
		ready = append(ready, w.newRoom(i), w.Entry(w.people[0], &command.AddChannelMember{ChannelID: w.rooms[i], UserID: w.users[0]}))
	}
	return ready, w.Entry(w.people[0], &command.RemoveTeamMember{TeamID: w.log.team, UserID: w.users[0]})
}

func manyViewed(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	c := &command.ViewChannel{}
	for range upTo(16_000, scale) {
		c.Channels = append(c.Channels, w.log.room)
	}
	return nil, w.Entry(w.people[1], c)
}

func manyPreferences(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	c := &command.SetPreferences{}
	for i := range core.MaxPreferencesPerCall {
		c.Preferences = append(c.Preferences, core.Preference{UserID: w.users[1], Category: "c", Name: fmt.Sprint(i), Value: strings.Repeat("x", upTo(5000, scale))})
	}
	return nil, w.Entry(w.people[1], c)
}

func manyParts(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	n := upTo(core.MaxUploadParts, scale)
	up := id[core.Upload](w.log)
	by := w.people[1]
	ready := []core.Entry{w.Entry(by, &command.CreateUpload{Upload: core.Upload{ID: up, Type: core.UploadAttachment, ChannelID: w.log.room, Filename: "f", FileSize: int64(n)}})}
	for i := range n {
		ready = append(ready, w.Entry(by, &command.AppendUpload{UploadID: up, Offset: int64(i), Part: blobRef(fmt.Sprint("part", i), 1)}))
	}
	f := w.file(id[core.File](w.log))
	f.Size, f.Content.Size = int64(n), int64(n)
	return ready, w.Entry(by, &command.FinishUpload{UploadID: up, File: f, Text: strings.Repeat("x", core.MaxFileText)})
}

func manyFiles(w *town, shape uint64, scale float64) (ready []core.Entry, e core.Entry) {
	var ids []core.FileID
	for range core.MaxFilesPerPost {
		f := w.file(id[core.File](w.log))
		f.MiniPreview = make([]byte, core.MaxMiniPreview)
		ids = append(ids, f.ID)
		ready = append(ready, w.Entry(w.people[1], &command.CreateFile{File: f, Text: strings.Repeat("x", upTo(core.MaxFileText, scale))}))
	}
	e = w.Entry(w.people[1], &command.CreatePost{Post: core.Post{ChannelID: w.log.room, FileIDs: ids, Props: props(shape, upTo(largest, scale))}})
	return ready, e
}

// cost is what one entry took.
type cost struct {
	took    time.Duration
	bytes   uint64 // allocated: the process cannot have grown by more
	refused error
}

// costs applies the entry of a kind, and gives what it took a replica that has to read everything
// from its tables.
func costs(t testing.TB, w *town, n *node, kind string, shape uint64, scale float64) cost {
	ready, e := worstKinds[kind](w, shape, scale)
	n.apply(t, ready...) // some are refused: no shape may get round that
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	got := n.apply(t, e)
	c := cost{took: time.Since(began)}
	runtime.ReadMemStats(&after)
	c.bytes, c.refused = after.TotalAlloc-before.TotalAlloc, command.DecodeOutcome(got[0].Outcome, nil)
	return c
}

// No client can make one entry take more than a little of every replica's memory.
func TestReplica_WorstEntry(t *testing.T) {
	for _, kind := range slices.Sorted(maps.Keys(worstKinds)) {
		t.Run(kind, func(t *testing.T) {
			scale, people := 1.0, 21
			switch kind {
			case "many parts":
				scale = 0.1 // they take long to make
			case "many mentions":
				people = core.MaxMentions
			}
			w, begin := newTown(t, people)
			n := newNode(t, pgtest.Database(t), tinyCache)
			accepted(t, n.apply(t, begin...))
			for shape := range uint64(shapes) {
				c := costs(t, w, n, kind, shape, scale)
				t.Logf("shape %d: %.1f ms, %.1f MiB, refused: %v", shape, c.took.Seconds()*1000, float64(c.bytes)/(1<<20), c.refused)
				if kind == "deleted long thread" && c.refused != nil {
					t.Errorf("shape %d: nobody can delete it: %v", shape, c.refused)
				}
				if c.bytes > worstBytes {
					t.Errorf("shape %d: an entry takes %d bytes", shape, c.bytes)
				}
				if !shaped[kind] {
					break
				}
			}
		})
	}
}
