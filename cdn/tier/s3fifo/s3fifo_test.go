package s3fifo

import (
	"math/rand/v2"
	"testing"
)

// Items that are read once are evicted before items that are read again, and an item that comes
// back soon stays.
func TestEvict_OneTimersFirst(t *testing.T) {
	p := New[int]()
	for k := range 4 {
		p.Add(k, 1)
	}
	p.Touch(0)
	for _, want := range []int{1, 2, 3, 0} {
		if k, ok := p.Evict(); !ok || k != want {
			t.Errorf("evicted %d, want %d", k, want)
		}
	}
	if _, ok := p.Evict(); ok {
		t.Error("an empty policy evicted")
	}
	p.Add(7, 1)
	p.Add(8, 1)
	p.Evict()   // 7
	p.Add(7, 1) // again so soon
	p.Add(9, 1)
	if k, _ := p.Evict(); k != 8 {
		t.Errorf("evicted %d, want 8", k)
	}
	if k, _ := p.Evict(); k != 9 {
		t.Errorf("evicted %d, want 9", k)
	}
}

// The counts equal those of a simple model, no pinned key is evicted, and Evict always ends.
func TestPolicy_AgainstAModel(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p, size, pinned := New[int](), map[int]int64{}, map[int]bool{}
		gone := func(k int) { delete(size, k); delete(pinned, k) }
		for range 3000 {
			k := rng.IntN(40)
			_, in := size[k]
			switch op := rng.IntN(8); {
			case op < 2 && !in:
				size[k] = int64(1 + rng.IntN(1000))
				if p.Add(k, size[k]); rng.IntN(3) == 0 {
					p.Remove(k)
					p.AddProven(k, size[k])
				}
			case op < 4:
				if p.Touch(k) != in {
					t.Fatalf("seed %d: touch %d says %v", seed, k, !in)
				}
			case op == 4:
				on := rng.IntN(2) == 0
				if p.Pin(k, on); in {
					pinned[k] = on
				}
			case op == 5 && rng.IntN(4) == 0:
				p.Remove(k)
				gone(k)
			case op == 6:
				k, ok := p.Evict()
				if _, in := size[k]; ok && (!in || pinned[k]) {
					t.Fatalf("seed %d: evicted %d, which is pinned or not there", seed, k)
				}
				if ok {
					gone(k)
				}
			}
			var bytes, pinnedBytes int64
			files := 0
			for k, n := range size {
				bytes += n
				if pinned[k] {
					pinnedBytes += n
					files++
				}
			}
			n, b := p.Pinned()
			if p.Len() != len(size) || p.Bytes() != bytes || n != files || b != pinnedBytes || p.ghost.Len() > max(len(size), 1)+40 {
				t.Fatalf("seed %d: %d names, %d bytes, %d and %d pinned; want %d, %d, %d, %d", seed, p.Len(), p.Bytes(), n, b, len(size), bytes, files, pinnedBytes)
			}
		}
	}
}
