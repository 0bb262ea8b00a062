// Package check checks a history: it compares what was acknowledged to the writers with what every replica
// has afterwards, and says what was lost, doubled, invented or put in another order.
//
// It is a pure function of its input and does not depend on how the history was made, so tests, chaos runs
// and drills use the same check.
package check

import (
	"fmt"
	"time"
)

// Write is one message that a writer tried to post. Messages of a history are all different.
type Write struct {
	Message string
	Writer  string
	Edge    string
	Sent    time.Time // when it was sent for the first time
	Acked   time.Time // zero: it was never acknowledged
	PostID  string    // as acknowledged
}

// Post is a post as a replica has it.
type Post struct {
	ID       string
	Message  string
	CreateAt int64
}

// Replica is the posts of the channel at one replica, in its order. The caller leaves out posts that no
// writer has made, such as system posts.
type Replica struct {
	Name  string
	Posts []Post
}

// maxFindings bounds a report, because one fault can show in thousands of places.
const maxFindings = 50

// History gives one line for each broken promise. The promises are:
//   - every acknowledged write is at every replica, once, under the id that was acknowledged;
//   - a write that was not acknowledged is at a replica at most once;
//   - all replicas hold the same posts in the same order, with strictly increasing create_at;
//   - a write sent after another was acknowledged comes after it;
//   - no replica has a post that no writer has sent.
func History(writes []Write, replicas []Replica) []string {
	var f findings
	byMessage := make(map[string]*Write, len(writes))
	for i := range writes {
		if byMessage[writes[i].Message] != nil {
			f.add("the history is unfit: %q was written twice", writes[i].Message)
		}
		byMessage[writes[i].Message] = &writes[i]
	}
	for _, r := range replicas {
		f.replica(r, writes, byMessage)
	}
	for _, r := range replicas[min(1, len(replicas)):] {
		f.sameOrder(replicas[0], r)
	}
	return f.lines
}

type findings struct{ lines []string }

func (f *findings) add(format string, args ...any) {
	if len(f.lines) < maxFindings {
		f.lines = append(f.lines, fmt.Sprintf(format, args...))
	}
}

// replica checks one replica against the writes.
func (f *findings) replica(r Replica, writes []Write, byMessage map[string]*Write) {
	place := make(map[string]int, len(r.Posts))
	for i, p := range r.Posts {
		if first, ok := place[p.Message]; ok {
			f.add("doubled: %s holds %q as %s and as %s", r.Name, p.Message, r.Posts[first].ID, p.ID)
			continue
		}
		place[p.Message] = i
		if byMessage[p.Message] == nil {
			f.add("invented: %s holds %q, which nobody wrote", r.Name, p.Message)
		}
		if i > 0 && p.CreateAt <= r.Posts[i-1].CreateAt {
			f.add("reordered: at %s %q is not younger than the post before it", r.Name, p.Message)
		}
	}
	for _, w := range writes {
		at, there := place[w.Message]
		switch {
		case w.Acked.IsZero():
		case !there:
			f.add("lost: %s was told at %s that %q is %s, but %s does not hold it", w.Writer, w.Edge, w.Message, w.PostID, r.Name)
		case r.Posts[at].ID != w.PostID:
			f.add("doubled: %q was acknowledged as %s, but %s holds it as %s", w.Message, w.PostID, r.Name, r.Posts[at].ID)
		}
	}
	f.realTime(r, byMessage)
}

// realTime checks that a write that was sent after another had been acknowledged comes after it: no post
// may have been acknowledged before an earlier post of the channel was sent.
func (f *findings) realTime(r Replica, byMessage map[string]*Write) {
	var lastSent *Write // of the posts seen so far, the one that was sent last
	for _, p := range r.Posts {
		w := byMessage[p.Message]
		if w == nil {
			continue
		}
		if lastSent != nil && !w.Acked.IsZero() && w.Acked.Before(lastSent.Sent) {
			f.add("reordered: %q was acknowledged before %q was sent, but at %s it comes after it", w.Message, lastSent.Message, r.Name)
		}
		if lastSent == nil || w.Sent.After(lastSent.Sent) {
			lastSent = w
		}
	}
}

// sameOrder compares two replicas post by post.
func (f *findings) sameOrder(a, b Replica) {
	for i := range max(len(a.Posts), len(b.Posts)) {
		switch {
		case i >= len(a.Posts):
			f.add("different: %s ends after %d posts, %s goes on with %q", a.Name, i, b.Name, b.Posts[i].Message)
		case i >= len(b.Posts):
			f.add("different: %s ends after %d posts, %s goes on with %q", b.Name, i, a.Name, a.Posts[i].Message)
		case a.Posts[i] != b.Posts[i]:
			f.add("different: at place %d %s holds %q (%s), %s holds %q (%s)", i, a.Name, a.Posts[i].Message, a.Posts[i].ID,
				b.Name, b.Posts[i].Message, b.Posts[i].ID)
		default:
			continue
		}
		return
	}
}
