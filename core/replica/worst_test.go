package replica_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

// How much memory one entry may cost a replica.
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
	"many sessions":        manySessions,
	"many old uploads":     manyOldUploads,
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
	return w.post(i, root, "hello", p)
}

func (w *town) post(i int, root core.PostID, text string, p map[string]any) core.Entry {
	e := w.Entry(w.people[i], &command.CreatePost{Post: core.Post{ChannelID: w.log.room, RootID: root, Message: text, Props: p}})
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
	return []core.Entry{ready}, w.Entry(w.people[0], &command.PatchPost{PostID: w.posts[0], PostPatch: core.PostPatch{Message: &text, Props: &p}})
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
		ready = append(ready, w.Entry(w.people[i], &command.PatchUser{UserID: w.users[i], UserPatch: core.UserPatch{Props: &large}}))
		names = append(names, fmt.Sprint("user", i))
	}
	return ready, w.Entry(w.people[0], &command.CreatePost{Post: core.Post{ChannelID: w.log.room, Message: "hello"}, Mentions: names})
}

var emoji = applytest.Emoji(core.MaxReactionsPerPost)

func manyReactions(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	ready := []core.Entry{w.newPost(0, core.PostID{})}
	for i := range upTo(core.MaxReactionsOfPost-1, scale) {
		ready = append(ready, w.Entry(w.people[i/50%len(w.people)], &command.AddReaction{PostID: w.posts[0], EmojiName: emoji[i%len(emoji)]}))
	}
	return ready, w.Entry(w.people[0], &command.RemoveReaction{PostID: w.posts[0], UserID: w.users[0], EmojiName: emoji[0]})
}

func manyMemberships(w *town, shape uint64, scale float64) (ready []core.Entry, e core.Entry) {
	for i := range upTo(250, scale) {
		ready = append(ready, w.newRoom(i), w.Entry(w.people[0], &command.AddChannelMember{ChannelID: w.rooms[i], UserID: w.users[0]}))
	}
	return ready, w.Entry(w.people[0], &command.RemoveTeamMember{TeamID: w.log.team, UserID: w.users[0]})
}

func manyViewed(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	c := &command.ViewChannel{}
	var ready []core.Entry
	for i := range upTo(990, scale) { // with more it would be over the price
		ready = append(ready, w.newRoom(i), w.Entry(w.people[0], &command.AddChannelMember{ChannelID: w.rooms[i], UserID: w.users[0]}),
			w.Entry(w.by, &command.CreatePost{Post: core.Post{ChannelID: w.rooms[i], Message: "hello"}}))
		c.Channels = append(c.Channels, w.rooms[i])
	}
	return ready, w.Entry(w.people[0], c)
}

func manyPreferences(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	var ready []core.Entry
	set := func(from, n, size int) core.Entry {
		c := &command.SetPreferences{}
		for i := range n {
			c.Preferences = append(c.Preferences, core.Preference{UserID: w.users[1], Category: "c", Name: fmt.Sprint(from + i), Value: strings.Repeat("x", size)})
		}
		return w.Entry(w.people[1], c)
	}
	for from := 0; from < core.MaxPreferencesPerCall; from += 10 {
		ready = append(ready, set(from, 10, upTo(40_000, scale)))
	}
	return ready, set(0, core.MaxPreferencesPerCall, upTo(5000, scale))
}

// fullUpload begins an upload and adds parts of one byte. It ends with the last part of a whole one.
func (w *town) fullUpload(i, parts, size int) (ready []core.Entry, up core.UploadID) {
	up = id[core.Upload](w.log)
	ready = append(ready, w.Entry(w.people[i], &command.CreateUpload{Upload: core.Upload{ID: up, Type: core.UploadAttachment, ChannelID: w.log.room, Filename: "f", FileSize: int64(size)}}))
	for n := range parts {
		ready = append(ready, w.Entry(w.people[i], &command.AppendUpload{UploadID: up, Offset: int64(n), Part: blobRef(fmt.Sprint("part", i, n), 1)}))
	}
	return ready, up
}

func (w *town) finish(i int, up core.UploadID, size int) core.Entry {
	f := w.file(id[core.File](w.log))
	f.Size, f.Content.Size = int64(size), int64(size)
	return w.Entry(w.people[i], &command.FinishUpload{UploadID: up, File: f, Text: strings.Repeat("x", core.MaxFileText)})
}

func manyParts(w *town, shape uint64, scale float64) ([]core.Entry, core.Entry) {
	n := upTo(core.MaxUploadParts, scale)
	ready, up := w.fullUpload(1, n, n)
	return ready, w.finish(1, up, n)
}

func manyOldUploads(w *town, shape uint64, scale float64) (ready []core.Entry, e core.Entry) {
	for i := range 16 {
		more, _ := w.fullUpload(1+i/8, upTo(300, scale), core.MaxUploadParts)
		ready = append(ready, more...)
	}
	w.At = w.At.Add(2 * core.UploadLife * time.Millisecond)
	return ready, w.newUpload(2)
}

func manySessions(w *town, shape uint64, scale float64) (ready []core.Entry, e core.Entry) {
	for range upTo(core.MaxSessions, scale) {
		s := w.signIn(w.users[1], id[core.Session](w.log)).(*command.CreateSession)
		s.Session.DeviceID, s.Session.Props = strings.Repeat("d", core.MaxDeviceID), map[string]string{"os": strings.Repeat("x", 1900)}
		ready = append(ready, w.Entry(command.Caller{}, s))
	}
	return ready, w.newSession(1)
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

// subject is a replica that is measured.
type subject struct {
	*replica.Replica
	db   *pg.DB
	cold bool // it has nothing in memory before each entry that is measured
}

// forget puts a replica that has just started in the place of the one before.
func (s *subject) forget(t testing.TB) {
	s.end(t)
	r, err := replica.New(replica.Config{DB: s.db, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Replica = r
}

func (s *subject) end(t testing.TB) {
	if s.Replica == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

// subjects are one replica that has everything in memory, and one that has nothing.
func subjects(t testing.TB, begin []core.Entry) map[string]*subject {
	out := map[string]*subject{"cold": {cold: true}, "warm": {}}
	for _, s := range out {
		s.db = pgtest.Open(t)
		t.Cleanup(func() { s.end(t) })
		s.forget(t)
		s.ready(t, begin)
	}
	return out
}

// ready applies what must be there before an entry.
func (s *subject) ready(t testing.TB, entries []core.Entry) {
	t.Helper()
	if _, err := s.Apply(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

// cost gives what an entry takes.
func (s *subject) cost(t testing.TB, e core.Entry) (c cost) {
	if s.cold {
		s.forget(t)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	got, err := s.Apply(t.Context(), []core.Entry{e})
	c.took = time.Since(began)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	c.bytes, c.refused = after.TotalAlloc-before.TotalAlloc, command.DecodeOutcome(got[0].Outcome, nil)
	return c
}

// worstOf tries each kind of entry that was thought of, and gives what it took by name.
func worstOf(t testing.TB, kind string, scale float64, found func(name string, c cost)) {
	people := 21
	if kind == "many mentions" {
		people = core.MaxMentions
	}
	w, begin := newTown(t, people)
	all := subjects(t, begin)
	for shape := range uint64(shapes) {
		ready, e := worstKinds[kind](w, shape, scale)
		for cache, s := range all {
			s.ready(t, ready) // some are refused: no shape may get round that
			found(fmt.Sprintf("shape %d, %s", shape, cache), s.cost(t, e))
		}
		if !shaped[kind] {
			return
		}
	}
}

// No client can make one entry take more than a little of every replica's memory.
func TestReplica_WorstEntry(t *testing.T) {
	check := func(t *testing.T, name string, c cost) {
		t.Logf("%s: %.1f ms, %.1f MiB, refused: %v", name, c.took.Seconds()*1000, float64(c.bytes)/(1<<20), c.refused)
		if c.bytes > worstBytes {
			t.Errorf("%s: an entry takes %d bytes", name, c.bytes)
		}
	}
	slow := map[string]float64{"many channels seen": 0.3, "many parts": 0.1, "many old uploads": 0.3} // which take long to make
	for _, kind := range slices.Sorted(maps.Keys(worstKinds)) {
		t.Run(kind, func(t *testing.T) {
			worstOf(t, kind, cmp.Or(slow[kind], 1), func(name string, c cost) {
				if check(t, name, c); kind == "deleted long thread" && c.refused != nil {
					t.Errorf("%s: nobody can delete it: %v", name, c.refused)
				}
			})
		})
	}
	t.Run("generated", func(t *testing.T) {
		refused := hostileWorst(t, 1, 3*len(attempts), 0.1, func(name string, c cost) { check(t, name, c) })
		if len(refused) > len(attempts)/4 {
			t.Errorf("none of these was accepted, so the test says little: %q", refused)
		}
	})
}

// BenchmarkWorstEntry says what the most expensive entries take that were thought of, and those that a
// generator finds.
func BenchmarkWorstEntry(b *testing.B) {
	for _, kind := range slices.Sorted(maps.Keys(worstKinds)) {
		b.Run(kind, func(b *testing.B) { worstOf(b, kind, 1, func(name string, c cost) { c.report(b, name) }) })
	}
	for seed := range uint64(2) {
		b.Run(fmt.Sprint("seed ", seed), func(b *testing.B) {
			hostileWorst(b, seed, 5*len(attempts), 1, func(name string, c cost) { c.report(b, name) })
		})
	}
}

func (c cost) report(b *testing.B, name string) {
	b.Run(name, func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(c.took)/float64(time.Millisecond), "ms")
		b.ReportMetric(float64(c.bytes)/(1<<20), "MiB")
	})
}
