package posts

import (
	"sync"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

// freshKept is how many new posts are cached for their authors, and freshBytes about how much
// memory they may use: a post can have half a megabyte.
const (
	freshKept  = 512
	freshBytes = 16 << 20
)

// fresh is a cache of the newest posts as they were announced, so that the request that makes a
// post need not read it.
type fresh struct {
	mu    sync.Mutex // guards everything below
	posts map[core.PostID]freshPost
	ring  [freshKept]core.PostID
	next  int
	bytes int // of all posts
}

type freshPost struct {
	core.Post
	bytes int
}

func newFresh() *fresh { return &fresh{posts: make(map[core.PostID]freshPost, freshKept)} }

// add adds an announced post, and removes the oldest ones if necessary.
func (f *fresh) add(p core.Post) {
	kept := freshPost{p, read.PostBytes(&p)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(f.ring[f.next])
	f.remove(p.ID)
	f.posts[p.ID], f.ring[f.next] = kept, p.ID
	f.bytes += kept.bytes
	f.next = (f.next + 1) % freshKept
	for at := f.next; f.bytes > freshBytes; at = (at + 1) % freshKept {
		f.remove(f.ring[at])
	}
}

// remove removes a post. The caller holds the lock.
func (f *fresh) remove(id core.PostID) {
	f.bytes -= f.posts[id].bytes
	delete(f.posts, id)
}

// drop removes a post that has changed.
func (f *fresh) drop(id core.PostID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(id)
}

func (f *fresh) get(id core.PostID) (core.Post, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.posts[id]
	return p.Post, ok
}

// reset removes everything.
func (f *fresh) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.posts)
	f.bytes = 0
}
