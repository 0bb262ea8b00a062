package main

import (
	"context"

	"github.com/nearside/nearside/cdn/tier/tiertrace"
)

// cache measures how well an edge's cache chooses what to keep: a cache with space for a tenth of the
// files, compared with one that knows from the start which tenth is read most.
func (b *bench) cache(context.Context) error {
	for _, day := range []struct {
		what string
		scan bool
	}{{"Zipf's law", false}, {"Zipf's law and one scan of all files", true}} {
		r := tiertrace.Run(tiertrace.Config{Seed: 1, Scan: day.scan})
		b.report.note("%s: %.3f of %d reads from cache, LRU %.3f, oracle %.3f", day.what, r.Tier, r.Reads, r.LRU, r.Oracle)
		b.report.atLeast("hit ratio, "+day.what+", over the oracle's", r.Of(), 0.93, "")
	}
	return nil
}
