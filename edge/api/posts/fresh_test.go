package posts

import (
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
)

// The newest posts are cached, as many as fit into the memory, whatever their size.
func TestFresh_Bounds(t *testing.T) {
	for name, c := range map[string]struct{ size, kept int }{
		"short": {10, freshKept},
		"long":  {core.MaxPostRunes * 4, freshBytes / (core.MaxPostRunes*4 + 1<<10)},
		"props": {500_000, freshBytes / 501_000},
	} {
		f := newFresh()
		var last, first core.PostID
		for i := range 3*freshKept + 7 {
			p := core.Post{ID: core.NewID[core.Post](time.UnixMilli(int64(i)))}
			if name == "props" {
				p.Props = map[string]any{"text": strings.Repeat("x", c.size)}
			} else {
				p.Message = strings.Repeat("x", c.size)
			}
			f.add(p)
			if last = p.ID; i == 0 {
				first = p.ID
			}
			if _, ok := f.get(last); !ok || f.bytes > freshBytes || f.bytes < len(f.posts)*c.size {
				t.Fatalf("%s: after %d posts the last is kept: %v, with %d bytes of %d posts", name, i+1, ok, f.bytes, len(f.posts))
			}
		}
		if n := len(f.posts); n > freshKept || n < c.kept {
			t.Errorf("%s: %d posts are kept, want about %d", name, n, c.kept)
		}
		if _, ok := f.get(first); ok {
			t.Errorf("%s: the oldest is kept", name)
		}
		f.drop(last)
		if _, ok := f.get(last); ok {
			t.Errorf("%s: a post that has changed is kept", name)
		}
		for id := range f.posts {
			f.drop(id)
		}
		if f.bytes != 0 {
			t.Errorf("%s: %d bytes of nothing", name, f.bytes)
		}
	}
}
