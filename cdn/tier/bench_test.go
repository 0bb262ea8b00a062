package tier

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
)

// site serves the same blobs over loopback TCP as plain files and from a tier.
func site(b *testing.B, sizes []int, memory int64) (*httptest.Server, *Tier, []cdn.Digest) {
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
	return srv, c, ds
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

// BenchmarkHit reads what is kept over HTTP: from memory, and with little memory from the disk.
// Compare each with serve-file of the same name.
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
		srv, _, ds := site(b, load.sizes, load.memory)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		for _, way := range []string{"serve-file", "tier"} {
			b.Run(fmt.Sprintf("%s/%s", load.name, way), func(b *testing.B) {
				b.SetBytes(int64(len(load.sizes) * load.sizes[0]))
				all := func() {
					var wg sync.WaitGroup
					for _, d := range ds {
						wg.Go(func() {
							if n, err := fetch(client, srv.URL+"/"+way+"/"+d.String()); err != nil || n != int64(load.sizes[0]) {
								b.Errorf("%d bytes: %v", n, err)
							}
						})
					}
					wg.Wait()
				}
				for range 3 { // connections, and what is hot
					all()
				}
				for b.Loop() {
					all()
				}
			})
		}
		client.CloseIdleConnections()
	}
}
