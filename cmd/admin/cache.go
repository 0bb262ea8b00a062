package admin

import (
	"context"
	"net/http"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/tier"
	"github.com/nearside/nearside/core"
)

// The bounds of what one request may ask a cache to do.
const (
	maxWarm   = 10_000 // blobs
	maxErrors = 10     // named in the answer; the others are only counted
)

// CacheStatus is the state of an edge's cache of files: the answer of /v1/cdn.
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

func (h *FilesHandler) cacheStatus(w http.ResponseWriter, _ *http.Request) {
	f, err := h.cache()
	if err != nil {
		Fail(w, err)
		return
	}
	s := f.Tier.Stats()
	Answer(w, http.StatusOK, CacheStatus{h.Node, s.HitRatio(), s})
}

func (h *FilesHandler) cache() (*Files, error) {
	f, err := h.files()
	if err == nil && f.Tier == nil {
		return nil, core.E(core.KindInvalid, "only edges have a cache of files; ask one of them")
	}
	return f, err
}

// warm brings blobs into the cache: the named ones, and those of the latest files.
func (h *FilesHandler) warm(w http.ResponseWriter, r *http.Request) {
	var what struct {
		Digests []string `json:"digests"`
		Recent  int      `json:"recent"` // files
	}
	err := Decode(w, r, `{"digests":["64 hexadecimal digits"],"recent":100}`, &what)
	var f *Files
	if err == nil {
		f, err = h.cache()
	}
	var list []cdn.Digest
	if err == nil {
		list, err = parseDigests(what.Digests)
	}
	if err == nil && (what.Recent < 0 || what.Recent > maxWarm) {
		err = core.E(core.KindInvalid, "recent: goes from 0 to %d", maxWarm)
	}
	if err == nil && what.Recent > 0 {
		list, err = f.addRecent(r.Context(), list, what.Recent)
	}
	if err != nil {
		Fail(w, err)
		return
	}
	done := Warmed{Node: h.Node}
	done.Warmed = f.Tier.WarmAll(r.Context(), list, func(d cdn.Digest, err error) {
		if done.Failed++; len(done.Errors) < maxErrors {
			done.Errors = append(done.Errors, d.String()+": "+core.AsError(err).Error())
		}
	})
	Answer(w, http.StatusOK, done)
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
func (f *Files) addRecent(ctx context.Context, list []cdn.Digest, n int) ([]cdn.Digest, error) {
	files, err := f.Ledger.RecentFiles(ctx, n)
	for _, x := range files {
		for _, b := range []core.BlobRef{x.Content, x.Thumbnail, x.Preview} {
			if !b.ID.IsZero() {
				list = append(list, cdn.Digest(b.ID))
			}
		}
	}
	return list, err
}

// purge drops blobs from the cache; they are fetched again when somebody reads them.
func (h *FilesHandler) purge(w http.ResponseWriter, r *http.Request) {
	var what struct {
		Digests []string `json:"digests"`
		All     bool     `json:"all"`
	}
	err := Decode(w, r, `{"digests":["64 hexadecimal digits"]} or {"all":true}`, &what)
	var f *Files
	if err == nil {
		f, err = h.cache()
	}
	var list []cdn.Digest
	if err == nil {
		list, err = parseDigests(what.Digests)
	}
	if err != nil {
		Fail(w, err)
		return
	}
	purged := 0
	if what.All {
		purged = f.Tier.PurgeAll()
	}
	for _, d := range list {
		if f.Tier.Purge(d) {
			purged++
		}
	}
	Answer(w, http.StatusOK, Purged{h.Node, purged})
}
