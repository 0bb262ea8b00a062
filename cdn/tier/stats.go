package tier

import "sync/atomic"

type counter = atomic.Int64

type counters struct {
	hits, misses, fills, passes, evictions, healed, copied counter
	fromMemory, fromDisk, fromOrigin                       counter
}

// Stats is what a Tier has done since New, and what it holds now.
type Stats struct {
	Hits      int64 `json:"hits"`      // reads of kept blobs
	Misses    int64 `json:"misses"`    // all other reads
	Fills     int64 `json:"fills"`     // complete blobs fetched
	Passes    int64 `json:"passes"`    // reads sent to the origin
	Evictions int64 `json:"evictions"` // blobs evicted for others
	Healed    int64 `json:"healed"`    // damaged blobs that were dropped
	Copied    int64 `json:"copied"`    // blobs copied to the origin after their Put

	MemoryBytes int64 `json:"memory_bytes"` // served from memory
	DiskBytes   int64 `json:"disk_bytes"`   // served from kept files
	OriginBytes int64 `json:"origin_bytes"` // served during a fill or directly from the origin

	Bytes    int64 `json:"bytes"`     // on the disk now, fills included
	Files    int64 `json:"files"`     // likewise
	Hot      int64 `json:"hot"`       // bytes in memory now
	Filling  int64 `json:"filling"`   // fills running now
	Pending  int64 `json:"pending"`   // blobs that the origin does not have yet
	MaxBytes int64 `json:"max_bytes"` // the bounds
	MaxFiles int64 `json:"max_files"`
}

// HitRatio is Hits as a part of all reads.
func (s Stats) HitRatio() float64 {
	if s.Hits+s.Misses == 0 {
		return 0
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses)
}

// Stats returns the counters.
func (t *Tier) Stats() Stats {
	c := &t.count
	s := Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Fills: c.fills.Load(), Passes: c.passes.Load(),
		Evictions: c.evictions.Load(), Healed: c.healed.Load(), Copied: c.copied.Load(),
		MemoryBytes: c.fromMemory.Load(), DiskBytes: c.fromDisk.Load(), OriginBytes: c.fromOrigin.Load(),
		Hot: t.hot.held(), MaxBytes: t.cfg.MaxBytes, MaxFiles: int64(t.cfg.MaxFiles),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Bytes, s.Files = t.policy.Bytes()+t.outside.bytes, int64(t.policy.Len()+t.outside.files)
	s.Filling, s.Pending = int64(len(t.fills)), int64(t.owed)
	return s
}
