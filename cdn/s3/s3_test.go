package s3

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/cdn/s3/s3test"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// to returns the configuration of a new bucket on a server.
func to(t *testing.T, srv *s3test.Server) Config {
	t.Helper()
	return Config{
		Endpoint: srv.Endpoint, Bucket: srv.Bucket(t), AccessKey: srv.AccessKey, SecretKey: srv.SecretKey,
		PartBytes: minPartBytes, MaxRetries: 3, RetryFor: time.Second, StallTimeout: 10 * time.Second,
	}
}

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t *testing.T, s *Store, seed byte, n int) (cdn.Digest, []byte) {
	t.Helper()
	d, b := cdntest.Content(seed, n)
	if err := s.Put(t.Context(), d, int64(n), bytes.NewReader(b)); err != nil {
		t.Fatalf("put: %v", err)
	}
	return d, b
}

func wantKind(t *testing.T, what string, err error, want core.Kind) {
	t.Helper()
	if err == nil || core.KindOf(err) != want {
		t.Errorf("%s: %v, want kind %v", what, err, want)
	}
}

func wantBlobs(t *testing.T, s *Store, want ...cdn.Digest) {
	t.Helper()
	var got []cdn.Digest
	if err := s.List(t.Context(), cdn.Digest{}, func(i cdn.Info) error { got = append(got, i.Digest); return nil }); err != nil {
		t.Fatalf("list: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the store holds %v, want %v", got, want)
	}
}

func readAll(s *Store, ctx context.Context, d cdn.Digest) ([]byte, error) {
	blob, err := s.Get(ctx, d, cdn.Whole)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(blob)
}

// unfinished counts the uploads of large blobs that were begun and neither completed nor dropped.
func unfinished(t *testing.T, srv *s3test.Server, bucket string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // t.Context has ended when this runs in a clean-up
	defer cancel()
	page, err := srv.Client(t).ListMultipartUploads(ctx, bucket, "", "", "", "", 100)
	if err != nil {
		t.Fatalf("list uploads: %v", err)
	}
	return len(page.Uploads)
}

// A bucket keeps every promise of a store, however requests name the bucket, and no upload stays
// unfinished in it.
func TestStore_KeepsThePromises(t *testing.T) {
	srv := s3test.Start(t, s3test.VirtualHosts("s3.test"))
	for name, set := range map[string]func(*Config){
		"region asked for": func(*Config) {},
		"prefix and path":  func(c *Config) { c.Prefix, c.PathStyle, c.Region = "deep/er", StylePath, s3test.Region },
		"encrypted":        func(c *Config) { c.SSE = "s3" },
		"virtual hosts": func(c *Config) {
			c.Endpoint, c.PathStyle, c.Region = strings.Replace(srv.Endpoint, "127.0.0.1", "s3.test", 1), StyleVirtual, s3test.Region
		},
	} {
		t.Run(name, func(t *testing.T) {
			cdntest.Run(t, func(t *testing.T) cdn.Store {
				cfg := to(t, srv)
				set(&cfg)
				s := open(t, cfg)
				s.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(srv.Endpoint, "http://"))
				}
				t.Cleanup(func() {
					if n := unfinished(t, srv, cfg.Bucket); n != 0 {
						t.Errorf("%d uploads are unfinished", n)
					}
				})
				return s
			})
		})
	}
}

// If an object's bytes are changed inside the store, they never read as whole, and a Put repairs
// them.
func TestStore_SpoiledObjects_AreFoundAndHealed(t *testing.T) {
	srv := s3test.Start(t)
	cdntest.RunSpoiled(t, func(t *testing.T) (cdn.Store, func(cdn.Digest) string) {
		cfg := to(t, srv)
		s := open(t, cfg)
		return s, func(d cdn.Digest) string { return srv.File(cfg.Bucket, s.name(d)) }
	})
}

// An object's name consists of the prefix and the digest; other objects in the bucket are not
// listed, read or deleted.
func TestStore_ForeignObjects_AreNotBlobs(t *testing.T) {
	srv := s3test.Start(t)
	cfg := to(t, srv)
	cfg.Prefix = "ours"
	s := open(t, cfg)
	d, _ := put(t, s, 1, 10)
	x := d.String()
	other, _ := cdntest.Content(2, 10)
	y := other.String()
	foreign := []string{"README", "ours/README", "ours/00/00/README", "ours/" + y, y[:2] + "/" + y[2:4] + "/" + y, "ours/" + x[:2] + "/" + x[2:4] + "/" + x + ".bak", "ours/zz"}
	for _, name := range foreign {
		if _, err := srv.Client(t).Client.PutObject(t.Context(), cfg.Bucket, name, strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := srv.Client(t).StatObject(t.Context(), cfg.Bucket, "ours/"+x[:2]+"/"+x[2:4]+"/"+x, minio.StatObjectOptions{}); err != nil {
		t.Errorf("the blob's object: %v", err)
	}
	wantBlobs(t, s, d)
	_, err := s.Stat(t.Context(), other)
	wantKind(t, "stat", err, core.KindNotFound)
	if err := s.Delete(t.Context(), other); err != nil {
		t.Error(err)
	}
	for _, name := range foreign {
		if _, err := srv.Client(t).StatObject(t.Context(), cfg.Bucket, name, minio.StatObjectOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Listing is complete if there are more objects than one answer holds, with or without foreign
// objects between them; so is a sweep of uploads.
func TestList_ManyPages_IsWhole(t *testing.T) {
	srv := s3test.Start(t)
	cfg := to(t, srv)
	s := open(t, cfg)
	s.pageSize = 3
	var want []cdn.Digest
	for i := range 30 {
		d, _ := put(t, s, byte(i), 10)
		want = append(want, d)
		if i%4 != 0 {
			continue
		}
		if _, err := s.core.PutObject(t.Context(), cfg.Bucket, s.name(d)+".bak", strings.NewReader("x"), 1, "", "", minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.begin(t.Context(), s.name(d)); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(want, func(a, b cdn.Digest) int { return bytes.Compare(a[:], b[:]) })
	wantBlobs(t, s, want...)
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 8 {
		t.Errorf("swept %d uploads, %v, want 8", n, err)
	}
	wantBlobs(t, s, want...)
}

// If the server is killed in the middle of a Put, the Put fails as unavailable and nothing can be
// read; the sent parts are swept later.
func TestPut_ServerKilled_LeavesNothing(t *testing.T) {
	for name, size := range map[string]int{"one request": 4 << 20, "parts": 17 << 20} {
		t.Run(name, func(t *testing.T) {
			srv := s3test.Start(t)
			cfg := to(t, srv)
			s := open(t, cfg)
			d, b := cdntest.Content(1, size)
			half := size * 2 / 3
			err := s.Put(t.Context(), d, int64(size), io.MultiReader(bytes.NewReader(b[:half]), then(srv.Stop), bytes.NewReader(b[half:])))
			wantKind(t, "put", err, core.KindUnavailable)
			srv.Start()
			wantBlobs(t, s)
			if _, err := s.Sweep(t.Context(), time.Now().Add(-time.Hour)); err != nil {
				t.Errorf("sweep of old uploads: %v", err)
			}
			before := unfinished(t, srv, cfg.Bucket)
			if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); err != nil || n != before {
				t.Errorf("swept %d of %d, %v", n, before, err)
			}
			if n := unfinished(t, srv, cfg.Bucket); n != 0 {
				t.Errorf("%d uploads are unfinished", n)
			}
			put(t, s, 1, size)
			wantBlobs(t, s, d)
		})
	}
}

// then is a reader without bytes that calls do when it is read.
func then(do func()) io.Reader {
	return readerFunc(func([]byte) (int, error) { do(); return 0, io.EOF })
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// If the server is killed in the middle of a Get, the read fails as unavailable and never takes a
// part for the whole; if the server comes back in time, the read continues where it broke.
func TestGet_ServerKilled_EndsOrGoesOn(t *testing.T) {
	srv := s3test.Start(t)
	cfg := to(t, srv)
	cfg.MaxRetries, cfg.RetryFor = 100, 10*time.Second
	s := open(t, cfg)
	d, b := put(t, s, 1, 40<<20) // more than the buffers of a connection hold
	impatient := cfg
	impatient.MaxRetries = 1
	half := make([]byte, 1<<20)
	for name, c := range map[string]struct {
		cfg   Config
		retry bool
	}{"stays down": {cfg: impatient}, "comes back": {cfg: cfg, retry: true}} {
		t.Run(name, func(t *testing.T) {
			blob, err := open(t, c.cfg).Get(t.Context(), d, cdn.Whole)
			if err != nil {
				t.Fatal(err)
			}
			defer blob.Close()
			if _, err := io.ReadFull(blob, half); err != nil {
				t.Fatal(err)
			}
			srv.Stop()
			defer srv.Start()
			if c.retry {
				srv.Start()
				defer srv.Stop()
			}
			rest, err := io.ReadAll(blob)
			if !c.retry {
				wantKind(t, "read", err, core.KindUnavailable)
			} else if err != nil || !bytes.Equal(append(slices.Clone(half), rest...), b) {
				t.Errorf("read %d bytes more, %v", len(rest), err)
			}
		})
	}
}

// While the server is down every call fails as unavailable within its budget; after that
// everything works again.
func TestStore_Outage_IsUnavailableThenWell(t *testing.T) {
	srv := s3test.Start(t)
	cfg := to(t, srv)
	cfg.RetryFor = 300 * time.Millisecond
	s := open(t, cfg)
	d, b := put(t, s, 1, 100)
	srv.Stop()
	began := time.Now()
	_, err := readAll(s, t.Context(), d)
	wantKind(t, "get", err, core.KindUnavailable)
	_, err = s.Stat(t.Context(), d)
	wantKind(t, "stat", err, core.KindUnavailable)
	wantKind(t, "put", s.Put(t.Context(), d, 100, bytes.NewReader(b)), core.KindUnavailable)
	wantKind(t, "delete", s.Delete(t.Context(), d), core.KindUnavailable)
	_, err = s.Expire(t.Context(), d, time.Now().Add(time.Hour))
	wantKind(t, "expire", err, core.KindUnavailable)
	wantKind(t, "list", s.List(t.Context(), cdn.Digest{}, func(cdn.Info) error { return nil }), core.KindUnavailable)
	eventually.InTime(t, began, 6*2*time.Second)
	srv.Start()
	if got, err := readAll(s, t.Context(), d); err != nil || !bytes.Equal(got, b) {
		t.Errorf("get: %v", err)
	}
}

// proxied puts a handler between a store and a real server. The handler may answer itself.
func proxied(t *testing.T, cfg Config, meddle func(w http.ResponseWriter, r *http.Request, pass http.Handler)) Config {
	t.Helper()
	target, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // the Host header is part of the signature
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { meddle(w, r, pass) }))
	t.Cleanup(front.Close)
	cfg.Endpoint = front.URL
	return cfg
}

// An overloaded store is asked again, but not for ever.
func TestRetry_Overload_IsBounded(t *testing.T) {
	cfg := to(t, s3test.Start(t))
	cfg.Region = s3test.Region
	var left, asked atomic.Int64
	cfg = proxied(t, cfg, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		asked.Add(1)
		if left.Add(-1) >= 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	})
	s := open(t, cfg)
	left.Store(2)
	d, _ := put(t, s, 1, 6<<20)
	left.Store(2)
	if _, err := readAll(s, t.Context(), d); err != nil {
		t.Errorf("get: %v", err)
	}
	left.Store(1000)
	asked.Store(0)
	_, err := s.Stat(t.Context(), d)
	wantKind(t, "stat", err, core.KindUnavailable)
	if n := asked.Load(); n < 2 || n > int64(cfg.MaxRetries)+1 {
		t.Errorf("asked %d times, want at most %d", n, cfg.MaxRetries+1)
	}
}

// If a store takes a request and never answers, the request is abandoned.
func TestRetry_Silence_IsUnavailable(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(release) })
	s := open(t, Config{
		Endpoint: silent.URL, Bucket: "bucket", Region: s3test.Region, AccessKey: "a", SecretKey: "b",
		StallTimeout: 50 * time.Millisecond, MaxRetries: 1,
	})
	d, b := cdntest.Content(1, 100)
	_, err := s.Get(t.Context(), d, cdn.Whole)
	wantKind(t, "get", err, core.KindUnavailable)
	wantKind(t, "put", s.Put(t.Context(), d, 100, bytes.NewReader(b)), core.KindUnavailable)
	wantKind(t, "list", s.List(t.Context(), cdn.Digest{}, func(cdn.Info) error { return nil }), core.KindUnavailable)
}

// If the answer to the last step of an upload is lost, the blob is stored and the Put succeeds.
func TestPut_AnswerLost_StillSucceeds(t *testing.T) {
	srv := s3test.Start(t)
	cfg := to(t, srv)
	cfg.Region = s3test.Region
	var lost atomic.Bool
	cfg = proxied(t, cfg, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		last := r.Method == http.MethodPost && r.URL.Query().Get("uploadId") != ""
		if last && lost.CompareAndSwap(false, true) {
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		pass.ServeHTTP(w, r)
	})
	s := open(t, cfg)
	d, b := put(t, s, 1, 11<<20)
	if got, err := readAll(s, t.Context(), d); err != nil || !bytes.Equal(got, b) {
		t.Errorf("get: %v", err)
	}
	if !lost.Load() || unfinished(t, srv, cfg.Bucket) != 0 {
		t.Errorf("lost %v, %d unfinished", lost.Load(), unfinished(t, srv, cfg.Bucket))
	}
}

// If a store refuses checksum headers, the second attempt and all later requests have none.
func TestPut_ChecksumsRefused_GoesWithout(t *testing.T) {
	cfg := to(t, s3test.Start(t))
	cfg.Region = s3test.Region
	var refused atomic.Int64
	cfg = proxied(t, cfg, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Header.Get("X-Amz-Checksum-Sha256") != "" {
			refused.Add(1)
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		pass.ServeHTTP(w, r)
	})
	s := open(t, cfg)
	for seed := range byte(3) {
		put(t, s, seed, 1000)
	}
	if n := refused.Load(); n != 1 {
		t.Errorf("%d requests were refused, want one", n)
	}
}

// If bytes are damaged on their way to the store, it refuses them and they are sent again.
func TestPut_DamagedOnTheWay_IsSentAgain(t *testing.T) {
	for name, size := range map[string]int{"one request": 1000, "parts": 11 << 20} {
		t.Run(name, func(t *testing.T) {
			cfg := to(t, s3test.Start(t))
			cfg.Region = s3test.Region
			var damaged atomic.Bool
			cfg = proxied(t, cfg, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if r.Method == http.MethodPut && damaged.CompareAndSwap(false, true) {
					b, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					b[len(b)/2] ^= 1
					r.Body = io.NopCloser(bytes.NewReader(b))
				}
				pass.ServeHTTP(w, r)
			})
			s := open(t, cfg)
			d, b := put(t, s, 1, size)
			if got, err := readAll(s, t.Context(), d); err != nil || !bytes.Equal(got, b) || !damaged.Load() {
				t.Errorf("get: %v", err)
			}
		})
	}
}

// A copy from a directory to a bucket that fails in the middle continues when the bucket is back;
// then everything can be copied back.
func TestCopy_BucketDies_GoesOn(t *testing.T) {
	srv := s3test.Start(t)
	cfg := to(t, srv)
	cfg.RetryFor = 100 * time.Millisecond
	bucket := open(t, cfg)
	from, back := directory(t), directory(t)
	for i := range 30 {
		d, b := cdntest.Content(byte(i), 1000+i)
		if err := from.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	first, err := cdn.Copy(t.Context(), from, bucket, cdn.CopyOptions{Workers: 1, Progress: func(s cdn.CopyStats) {
		if s.Copied == 10 {
			srv.Stop()
		}
	}})
	if wantKind(t, "copy", err, core.KindUnavailable); first.Copied != 10 || first.Bad != 0 {
		t.Fatalf("interrupted: %+v", first)
	}
	srv.Start()
	second, err := cdn.Copy(t.Context(), from, bucket, cdn.CopyOptions{})
	if err != nil || second.Skipped != 10 || second.Copied != 20 {
		t.Fatalf("again: %+v, %v", second, err)
	}
	third, err := cdn.Copy(t.Context(), bucket, back, cdn.CopyOptions{Count: true})
	if err != nil || third.Copied != 30 || third.TotalBlobs != 30 || third.Bytes != third.TotalBytes {
		t.Fatalf("back: %+v, %v", third, err)
	}
}

func directory(t *testing.T) cdn.Store {
	t.Helper()
	s, err := disk.Open(disk.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A large blob is uploaded with the memory of one part, and concurrent uploads use no more memory
// than configured.
func TestPut_LargeBlob_FlatMemory(t *testing.T) {
	s := open(t, to(t, s3test.Start(t)))
	const size = 100 << 20
	d, b := cdntest.Content(1, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := s.Put(t.Context(), d, size, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 25<<20 {
		t.Errorf("putting %d MiB in parts of 5 allocated %d MiB", size>>20, got>>20)
	}
}

// An upload waits for memory that other uploads hold, but not after its context ends.
func TestPut_MemoryHeld_Waits(t *testing.T) {
	cfg := to(t, s3test.Start(t))
	cfg.MaxBufferBytes = minPartBytes
	s := open(t, cfg)
	d, b := cdntest.Content(1, minPartBytes)
	reached, release := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		held <- s.Put(t.Context(), d, minPartBytes, io.MultiReader(then(func() { close(reached); <-release }), bytes.NewReader(b)))
	}()
	<-reached
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	other, ob := cdntest.Content(2, 100)
	wantKind(t, "put beside it", s.Put(ctx, other, 100, bytes.NewReader(ob)), core.KindTimeout)
	close(release)
	if err := <-held; err != nil {
		t.Errorf("put: %v", err)
	}
	put(t, s, 2, 100)
}

// A blob that is being put is not expired, and a Put that comes during an expiry waits.
func TestExpire_WhilePutting_Keeps(t *testing.T) {
	srv := s3test.Start(t)
	cfg := to(t, srv)
	cfg.Region = s3test.Region
	deleting, release := make(chan struct{}), make(chan struct{})
	cfg = proxied(t, cfg, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodDelete {
			close(deleting)
			<-release
		}
		pass.ServeHTTP(w, r)
	})
	s := open(t, cfg)
	d, b := put(t, s, 1, 100)
	later := time.Now().Add(time.Hour)
	err := s.Put(t.Context(), d, 100, io.MultiReader(then(func() {
		if gone, err := s.Expire(t.Context(), d, later); gone || err != nil {
			t.Errorf("expire: %v, %v", gone, err)
		}
	}), bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	both := make(chan error, 2)
	go func() {
		_, err := s.Expire(t.Context(), d, later)
		both <- err
	}()
	<-deleting
	go func() { both <- s.Put(t.Context(), d, 100, bytes.NewReader(b)) }()
	close(release)
	for range 2 {
		if err := <-both; err != nil {
			t.Error(err)
		}
	}
	wantBlobs(t, s, d)
}
