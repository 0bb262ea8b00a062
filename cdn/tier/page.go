package tier

import (
	"sync"
	"sync/atomic"
)

// page is the memory of one chunk. Its holders may read it. After the last release another chunk
// uses the memory, so a use after release would show one blob's bytes in another.
type page struct {
	data []byte
	refs atomic.Int32
	home *sync.Pool // nil if the memory is not used again
}

// pages provides memory for chunks. Chunks that are only passed through reuse the same few pages:
// they are then still in the processor's cache when they are sent.
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
		pg.data = make([]byte, size) // a small blob gets only the memory it needs
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
