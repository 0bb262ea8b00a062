package node

import (
	"context"
	"net/http"
	"sync"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/tier"
	"github.com/nearside/nearside/core"
)

// The bounds of what one request may ask a cache to do.
const (
	maxWarm   = 10_000 // blobs
	warmers   = 4
	maxErrors = 10 // told; the others are counted
)

// CacheStatus is what an edge says of its cache of files: the answer of /v1/cdn.
type CacheStatus struct {
	Node     string  `json:"node"`
	HitRatio float64 `json:"hit_ratio"`
	tier.Stats
}

// Warmed is the answer of /v1/cdn/warm.
type Warmed struct {
	Node   string   `json:"node"`
	Warmed int      `json:"warmed"`
	Failed int      `json:"failed"`
	Errors []string `json:"errors,omitempty"` // some of them
}

// Purged is the answer of /v1/cdn/purge.
type Purged struct {
	Node   string `json:"node"`
	Purged int    `json:"purged"` // blobs
}

// handleCache adds what operators ask of an edge's cache.
func (n *Node) handleCache(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/cdn", func(w http.ResponseWriter, _ *http.Request) {
		k, err := n.cache()
		if err != nil {
			fail(w, err)
			return
		}
		s := k.tier.Stats()
		answer(w, http.StatusOK, CacheStatus{n.cfg.Name, s.HitRatio(), s})
	})
	mux.HandleFunc("POST /v1/cdn/warm", n.warm)
	mux.HandleFunc("POST /v1/cdn/purge", n.purge)
}

func (n *Node) cache() (*keeping, error) {
	k, err := n.kept()
	if err == nil && k.tier == nil {
		return nil, core.E(core.KindInvalid, "only edges have a cache of files; ask one of them")
	}
	return k, err
}

// warm brings blobs into the cache: those that are named, and those of the latest files.
func (n *Node) warm(w http.ResponseWriter, r *http.Request) {
	var what struct {
		Digests []string `json:"digests"`
		Recent  int      `json:"recent"` // files
	}
	err := decode(w, r, `{"digests":["64 hexadecimal digits"],"recent":100}`, &what)
	var k *keeping
	if err == nil {
		k, err = n.cache()
	}
	var list []cdn.Digest
	if err == nil {
		list, err = parseDigests(what.Digests)
	}
	if err == nil && (what.Recent < 0 || what.Recent > maxWarm) {
		err = core.E(core.KindInvalid, "recent: goes from 0 to %d", maxWarm)
	}
	if err == nil && what.Recent > 0 {
		list, err = k.addRecent(r.Context(), list, what.Recent)
	}
	if err != nil {
		fail(w, err)
		return
	}
	done := k.warm(r.Context(), list)
	done.Node = n.cfg.Name
	answer(w, http.StatusOK, done)
}

func parseDigests(words []string) ([]cdn.Digest, error) {
	if len(words) > maxWarm {
		return nil, core.E(core.KindInvalid, "digests: at most %d", maxWarm)
	}
	var list []cdn.Digest
	for _, word := range words {
		d, err := cdn.ParseDigest(word)
		if err != nil {
			return nil, core.E(core.KindInvalid, "digests: %q: a digest has 64 hexadecimal digits", word)
		}
		list = append(list, d)
	}
	return list, nil
}

// addRecent adds the blobs of the latest files.
func (k *keeping) addRecent(ctx context.Context, list []cdn.Digest, n int) ([]cdn.Digest, error) {
	files, err := k.ledger.RecentFiles(ctx, n)
	for _, f := range files {
		for _, b := range []core.BlobRef{f.Content, f.Thumbnail, f.Preview} {
			if !b.ID.IsZero() {
				list = append(list, cdn.Digest(b.ID))
			}
		}
	}
	return list, err
}

func (k *keeping) warm(ctx context.Context, list []cdn.Digest) (done Warmed) {
	jobs := make(chan cdn.Digest)
	var mu sync.Mutex // guards done
	var wg sync.WaitGroup
	for range warmers {
		wg.Go(func() {
			for d := range jobs {
				err := k.tier.Warm(ctx, d)
				mu.Lock()
				done.count(d, err)
				mu.Unlock()
			}
		})
	}
	for _, d := range list {
		jobs <- d // each ends with ctx
	}
	close(jobs)
	wg.Wait()
	return done
}

func (w *Warmed) count(d cdn.Digest, err error) {
	if err == nil {
		w.Warmed++
		return
	}
	if w.Failed++; len(w.Errors) < maxErrors {
		w.Errors = append(w.Errors, d.String()+": "+core.AsError(err).Error())
	}
}

// purge drops blobs from the cache; they come again when somebody reads them.
func (n *Node) purge(w http.ResponseWriter, r *http.Request) {
	var what struct {
		Digests []string `json:"digests"`
		All     bool     `json:"all"`
	}
	err := decode(w, r, `{"digests":["64 hexadecimal digits"]} or {"all":true}`, &what)
	var k *keeping
	if err == nil {
		k, err = n.cache()
	}
	var list []cdn.Digest
	if err == nil {
		list, err = parseDigests(what.Digests)
	}
	if err != nil {
		fail(w, err)
		return
	}
	purged := 0
	if what.All {
		purged = k.tier.PurgeAll()
	}
	for _, d := range list {
		if k.tier.Purge(d) {
			purged++
		}
	}
	answer(w, http.StatusOK, Purged{n.cfg.Name, purged})
}
