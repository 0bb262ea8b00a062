package tier

import (
	"sync"
	"sync/atomic"
)

// page is the bytes of one chunk. Whoever holds it reads it; after the last release its memory
// belongs to another chunk, so a use after release would show one blob's bytes in another.
type page struct {
	data []byte
	refs atomic.Int32
	home *sync.Pool // nil when the memory is not used again
}

// pages gives memory for chunks, the same few over and over while chunks are only passing
// through: a processor's cache then still has them when they are sent.
type pages struct{ pool sync.Pool }

func (p *pages) get(size int64) *page {
	pg := &page{}
	if size > chunk/2 {
		if old, ok := p.pool.Get().(*page); ok {
			pg = old
		} else {
			pg = &page{data: make([]byte, chunk), home: &p.pool}
		}
		pg.data = pg.data[:size]
	} else {
		pg.data = make([]byte, size) // a short blob's memory is its own length
	}
	pg.refs.Store(1)
	return pg
}

func (pg *page) hold() *page {
	pg.refs.Add(1)
	return pg
}

func (pg *page) release() {
	if pg.refs.Add(-1) == 0 && pg.home != nil {
		pg.home.Put(pg)
	}
}
