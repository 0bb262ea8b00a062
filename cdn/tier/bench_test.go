package tier

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
)

// site serves the same blobs over loopback TCP, as plain files and from a tier.
func site(b *testing.B, sizes []int, memory int64) (*httptest.Server, []cdn.Digest) {
	o, dir := newOrigin(), b.TempDir()
	c, err := New(Config{Dir: filepath.Join(dir, "tier"), MaxBytes: 1 << 30, MaxFiles: 1000, MemoryBytes: memory, Origin: o})
	if err == nil {
		err = c.Load()
	}
	if err != nil {
		b.Fatal(err)
	}
	running(b, c)
	var ds []cdn.Digest
	for i, size := range sizes {
		d, data := cdntest.Content(byte(i), size)
		if err := c.Put(b.Context(), d, int64(size), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, d.String()), data, 0o600); err != nil {
			b.Fatal(err)
		}
		ds = append(ds, d)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /serve-file/{d}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeFile(w, r, filepath.Join(dir, r.PathValue("d")))
	})
	mux.HandleFunc("GET /tier/{d}", func(w http.ResponseWriter, r *http.Request) {
		d, err := cdn.ParseDigest(r.PathValue("d"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		blob, err := c.Get(r.Context(), d, cdn.Whole)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = blob.Close() }()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(blob.Size, 10))
		_, _ = io.Copy(w, blob)
	})
	srv := httptest.NewServer(mux)
	b.Cleanup(srv.Close)
	return srv, ds
}

func fetch(client *http.Client, url string) (int64, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 256<<10))
}

// BenchmarkHit reads cached blobs over HTTP: from memory, from the disk (with too little memory),
// and the same file through http.ServeFile. The two servers alternate, so that other load on the
// machine slows both. ratio is the median over the pairs; cpu-ratio is the same for the processor
// time, client included, which a busy machine disturbs less.
func BenchmarkHit(b *testing.B) {
	many := make([]int, 64)
	for i := range many {
		many[i] = 1_000_000
	}
	for _, load := range []struct {
		name   string
		sizes  []int
		memory int64
	}{
		{"1x64MB/memory", []int{64_000_000}, 128 << 20},
		{"1x64MB/disk", []int{64_000_000}, 16 << 20},
		{"64x1MB/memory", many, 128 << 20},
		{"64x1MB/disk", many, -1},
	} {
		b.Run(load.name, func(b *testing.B) {
			srv, ds := site(b, load.sizes, load.memory)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			all := func(way string) (took, worked float64) {
				began, before := time.Now(), cpu(b)
				var wg sync.WaitGroup
				for i, d := range ds {
					wg.Go(func() {
						if n, err := fetch(client, srv.URL+"/"+way+"/"+d.String()); err != nil || n != int64(load.sizes[i]) {
							b.Errorf("%d bytes: %v", n, err)
						}
					})
				}
				wg.Wait()
				return time.Since(began).Seconds(), cpu(b) - before
			}
			for range 3 { // opens the connections and fills the memory
				all("serve-file")
				all("tier")
			}
			var files, tiers, ratios, works []float64
			for b.Loop() {
				f, fw := all("serve-file")
				t, tw := all("tier")
				files, tiers, ratios, works = append(files, f), append(tiers, t), append(ratios, f/t), append(works, fw/tw)
			}
			total := float64(len(load.sizes) * load.sizes[0])
			b.ReportMetric(total/median(files)/1e6, "file-MB/s")
			b.ReportMetric(total/median(tiers)/1e6, "tier-MB/s")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(median(works), "cpu-ratio")
		})
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// cpu returns the processor time of this process in seconds.
func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
