// Package tiertrace measures how well a cache chooses what to keep, on an artificial trace: many
// reads of files of equal size, a few of them popular (Zipf's law), with or without a scan that
// reads every file once. The test of cdn/tier and the project's bench program share it.
//
// It moves names, not bytes. The seed determines everything.
package tiertrace

import (
	"math"
	"math/rand/v2"
	"sort"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/nearside/nearside/cdn/tier/s3fifo"
)

// Config describes a trace. The zero value of a field means its default.
type Config struct {
	Reads int     // default 100,000
	Files int     // default 10,000
	Room  int     // files that the cache holds; default a tenth of Files
	S     float64 // Zipf's exponent; default 1
	Seed  uint64
	Scan  bool // from the middle on, one read of every file in order is mixed with the others
}

// Result is the share of reads that were answered from the cache, after it was full for the first
// time. Reads of the scan are not counted: no cache can answer them.
type Result struct {
	Tier   float64 // the policy of cdn/tier
	LRU    float64
	Oracle float64 // a cache that holds the most popular files from the start
	Reads  int     // number of reads that were counted
}

// Of returns the tier's share as a part of the oracle's.
func (r Result) Of() float64 { return r.Tier / r.Oracle }

func (c Config) withDefaults() Config {
	if c.Reads <= 0 {
		c.Reads = 100_000
	}
	if c.Files <= 0 {
		c.Files = 10_000
	}
	if c.Room <= 0 {
		c.Room = max(c.Files/10, 1)
	}
	if c.S <= 0 {
		c.S = 1
	}
	return c
}

// Run replays a trace on all caches.
func Run(c Config) Result {
	c = c.withDefaults()
	tier := &fifo{p: s3fifo.New[int](), room: c.Room}
	lru, _ := simplelru.NewLRU[int, struct{}](c.Room, nil) // an error means a size that is not positive
	var hits, lruHits, best, counted, full, scanned int
	for n, file := range c.reads() {
		if n >= c.Reads/2 && c.Scan && scanned < c.Files {
			tier.read(scanned)
			readLRU(lru, scanned)
			scanned++
		}
		t, l := tier.read(file), readLRU(lru, file)
		if tier.p.Len() < c.Room {
			full = n
			continue
		}
		counted = n - full
		hits, lruHits, best = hits+one(t), lruHits+one(l), best+one(file < c.Room)
	}
	of := float64(max(counted, 1))
	return Result{Tier: float64(hits) / of, LRU: float64(lruHits) / of, Oracle: float64(best) / of, Reads: counted}
}

// reads draws files by popularity; file 0 is the most popular. (math/rand's Zipf does not support
// exponent 1.)
func (c Config) reads() []int {
	rng, sums, sum := rand.New(rand.NewPCG(c.Seed, 1)), make([]float64, c.Files), 0.0
	for i := range sums {
		sum += 1 / math.Pow(float64(i+1), c.S)
		sums[i] = sum
	}
	reads := make([]int, c.Reads)
	for i := range reads {
		reads[i] = min(sort.SearchFloat64s(sums, rng.Float64()*sum), c.Files-1)
	}
	return reads
}

// fifo is the tier's policy with space for so many files.
type fifo struct {
	p    *s3fifo.Policy[int]
	room int
}

func (f *fifo) read(file int) bool {
	if f.p.Touch(file) {
		return true
	}
	if f.p.Len() >= f.room {
		f.p.Evict()
	}
	f.p.Add(file, 1)
	return false
}

// readLRU reports whether the LRU cache has a file, and reads it.
func readLRU(lru *simplelru.LRU[int, struct{}], file int) bool {
	_, ok := lru.Get(file)
	if !ok {
		lru.Add(file, struct{}{})
	}
	return ok
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
