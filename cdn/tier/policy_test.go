package tier

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/nearside/nearside/cdn"
)

func name(i int) cdn.Digest {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
}

// trace is 100,000 reads of 10,000 files by Zipf(1.0), which math/rand's does not give.
func trace() []int {
	rng, sums, sum := rand.New(rand.NewPCG(1, 1)), make([]float64, 10_000), 0.0
	for i := range sums {
		sum += 1 / math.Pow(float64(i+1), 1)
		sums[i] = sum
	}
	reads := make([]int, 100_000)
	for i := range reads {
		reads[i] = min(sort.SearchFloat64s(sums, rng.Float64()*sum), len(sums)-1)
	}
	return reads
}

// With a scan of 10,000 other files in the middle, at least 0.93 of what the best fixed choice hits is hit.
func TestPolicy_SurvivesScan(t *testing.T) {
	const room = 1000
	p, lru, at := newPolicy(), list.New(), map[int]*list.Element{}
	var hits, lruHits, best, reads int
	read := func(i int, count bool) {
		d := name(i)
		hit := p.touch(d)
		if !hit {
			if len(p.at) >= room {
				p.evict()
			}
			p.add(d, 1)
		}
		e := at[i]
		if e != nil {
			lru.MoveToFront(e)
		} else {
			if lru.Len() >= room {
				delete(at, lru.Remove(lru.Back()).(int))
			}
			at[i] = lru.PushFront(i)
		}
		if !count {
			return
		}
		reads++
		if hit {
			hits++
		}
		if e != nil {
			lruHits++
		}
		if i < room {
			best++
		}
	}
	for n, i := range trace() {
		read(i, true)
		if n == 50_000 {
			for s := range 10_000 {
				read(10_000+s, false)
			}
		}
	}
	t.Logf("hit ratio %.3f, LRU %.3f, best fixed %.3f", float64(hits)/float64(reads), float64(lruHits)/float64(reads), float64(best)/float64(reads))
	if float64(hits) < 0.93*float64(best) || hits <= lruHits {
		t.Errorf("%d hits, LRU %d, best %d", hits, lruHits, best)
	}
}
