package tier

import (
	"container/list"

	"github.com/nearside/nearside/cdn"
)

// policy is S3-FIFO: what is read once leaves by the small queue, so a scan never reaches the
// main one. Written here because the bounds are two (bytes and files) and hold before a write,
// while the libraries evict by one weight, after it.
type policy struct {
	small, main, ghost list.List // of *item; ghost of cdn.Digest
	at                 map[cdn.Digest]*item
	ghosts             map[cdn.Digest]*list.Element
	bytes, smallBytes  int64
}

type item struct {
	d     cdn.Digest
	size  int64
	freq  int
	small bool
	el    *list.Element
}

func newPolicy() *policy {
	return &policy{at: map[cdn.Digest]*item{}, ghosts: map[cdn.Digest]*list.Element{}}
}

func (p *policy) touch(d cdn.Digest) bool {
	it := p.at[d]
	if it != nil {
		it.freq = min(it.freq+1, 3)
	}
	return it != nil
}

func (p *policy) add(d cdn.Digest, size int64) {
	it := &item{d: d, size: size}
	p.at[d], p.bytes = it, p.bytes+size
	if g := p.ghosts[d]; g != nil {
		p.ghost.Remove(g)
		delete(p.ghosts, d)
		it.el = p.main.PushFront(it)
		return
	}
	it.small, it.el = true, p.small.PushFront(it)
	p.smallBytes += size
}

func (p *policy) remove(d cdn.Digest) {
	it := p.at[d]
	if it == nil {
		return
	}
	delete(p.at, d)
	p.bytes -= it.size
	p.unlink(it)
}

func (p *policy) unlink(it *item) {
	if it.small {
		p.small.Remove(it.el)
		p.smallBytes -= it.size
		return
	}
	p.main.Remove(it.el)
}

// evict takes the least worthy blob out; false when there is none.
func (p *policy) evict() (cdn.Digest, bool) {
	for len(p.at) > 0 {
		small := p.small.Len() > 0 && (p.main.Len() == 0 || p.smallBytes*10 >= p.bytes)
		q := &p.main
		if small {
			q = &p.small
		}
		it := q.Back().Value.(*item)
		if it.freq > 0 {
			p.unlink(it)
			if it.freq--; small {
				it.freq = 0
			}
			it.small, it.el = false, p.main.PushFront(it)
			continue
		}
		if p.remove(it.d); small {
			p.remember(it.d)
		}
		return it.d, true
	}
	return cdn.Digest{}, false
}

// remember keeps as many evicted names as there are blobs.
func (p *policy) remember(d cdn.Digest) {
	p.ghosts[d] = p.ghost.PushFront(d)
	for p.ghost.Len() > len(p.at)+1 {
		delete(p.ghosts, p.ghost.Remove(p.ghost.Back()).(cdn.Digest))
	}
}
