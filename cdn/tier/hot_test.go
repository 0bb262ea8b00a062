package tier

import (
	"testing"

	"github.com/nearside/nearside/cdn"
)

// A chunk is kept in memory when it is read a second time, unless its blob was dropped, and the
// bound on memory holds.
func TestHot_SecondReadIsKept(t *testing.T) {
	h, mem := newHot(2*chunk), pages{}
	blob := func(i byte) *entry { return &entry{d: cdn.Digest{i}, size: chunk} }
	offer := func(e *entry) {
		pg := mem.get(chunk)
		h.offer(e, 0, pg)
		pg.release()
	}
	kept := func(e *entry) bool {
		pg := h.get(e, 0)
		if pg != nil {
			pg.release()
		}
		return pg != nil
	}
	a, b, c, dropped := blob(1), blob(2), blob(3), blob(4)
	for _, e := range []*entry{a, b} {
		if offer(e); kept(e) {
			t.Error("kept after one read")
		}
		if offer(e); !kept(e) {
			t.Error("not kept after two")
		}
	}
	offer(c)
	if offer(c); !kept(c) || h.held() != 2*chunk {
		t.Errorf("%d bytes", h.held())
	}
	h.forget(dropped)
	offer(dropped)
	if offer(dropped); kept(dropped) {
		t.Error("a dropped blob's chunk is kept")
	}
	for _, e := range []*entry{a, b, c} {
		h.forget(e)
	}
	if h.held() != 0 {
		t.Errorf("%d bytes after all were forgotten", h.held())
	}
}
