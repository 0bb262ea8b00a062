package node_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn/s3/s3test"
	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core"
)

// bytesOf gives n random bytes and their blob.
func bytesOf(seed uint64, n int) ([]byte, core.BlobID) {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b, sha256.Sum256(b)
}

func wantBytes(t *testing.T, a nodetest.Answer, want []byte) {
	t.Helper()
	if a.Status != http.StatusOK || !bytes.Equal(a.Body, want) {
		t.Errorf("status %d with %d bytes, want 200 with %d: %.200s", a.Status, len(a.Body), len(want), clip(a.Body))
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 200)] }

func caches(t *testing.T, n *nodetest.Node) (c admin.CacheStatus) {
	t.Helper()
	if got := n.Admin(t, "GET", "/v1/cdn", "", &c); got != http.StatusOK {
		t.Fatalf("GET /v1/cdn at %s: %d", n.Name, got)
	}
	return c
}

// verifyLines makes a home node verify and gives the lines of its answer.
func verifyLines(t *testing.T, n *nodetest.Node, method string) (bad []admin.BadBlob, sum admin.Verified) {
	t.Helper()
	resp, err := n.Place().Ask(t.Context(), method, "/v1/files/verify", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var l admin.VerifyLine
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			t.Fatal("no summary")
		case err != nil || l.Error != "":
			t.Fatalf("%v %s", err, l.Error)
		case l.Bad != nil:
			bad = append(bad, *l.Bad)
		case l.Summary != nil:
			return bad, *l.Summary
		}
	}
}

// A file that was uploaded at one edge is read at another, from home the first time and from
// that edge's own cache afterwards, and both edges give the same bytes.
func TestFiles_UploadAtOneEdge_ReadAtAnother(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt", "singapore"}, Latency: 0.1})
	near, far := w.Node("edge-frankfurt"), w.Node("edge-singapore")
	ann := near.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, blob := bytesOf(1, 3<<20)
	f := ann.Upload(square.ID, "plan.bin", content)
	ann.Post(square.ID, "", f.ID)
	onDisks := 0
	for _, n := range w.Nodes() {
		if _, err := os.Stat(n.BlobFile(blob)); err == nil {
			onDisks++
		}
	}
	if onDisks < 2 {
		t.Errorf("acknowledged with %d of 3 home nodes", onDisks)
	}
	there := ann.At(far)
	wantBytes(t, there.Download(f.ID), content)
	w.Until("the end of the fill", func() error {
		if c := caches(t, far); c.Filling > 0 {
			return errors.New("still filling")
		}
		return nil
	})
	cold := caches(t, far)
	wantBytes(t, there.Download(f.ID), content)
	warm := caches(t, far)
	if cold.Fills != 1 || warm.Fills != 1 || warm.Hits != cold.Hits+1 {
		t.Errorf("cold %+v\nwarm %+v", cold, warm)
	}
	wantBytes(t, ann.Download(f.ID), content)
	if here := caches(t, near); here.OriginBytes != 0 {
		t.Errorf("the edge that took the file asked home for it: %+v", here)
	}
}

// What was acknowledged is not lost when the home node and the edge that took it are killed.
func TestFiles_LeaderAndEdgeKilled_LosesNothing(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt", "singapore"}})
	near, far := w.Node("edge-frankfurt"), w.Node("edge-singapore")
	ann := near.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, _ := bytesOf(1, 1<<20)
	f := ann.Upload(square.ID, "plan.bin", content)
	leader := w.Leader()
	near.Kill()
	leader.Kill()
	there := ann.At(far)
	w.Until("the file", func() error {
		if a := there.Download(f.ID); a.Status != http.StatusOK || !bytes.Equal(a.Body, content) {
			return fmt.Errorf("%d %s", a.Status, clip(a.Body))
		}
		return nil
	})
}

// A home node that was down during an upload gets the file by itself later.
func TestFiles_HomeNodeWasDown_RepairsItself(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt"}, Tuning: node.Tuning{RepairEvery: 100 * time.Millisecond}})
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	down := w.Nodes()[0]
	if w.Leader() == down {
		down = w.Nodes()[1]
	}
	down.Stop()
	content, blob := bytesOf(1, 500_000)
	ann.Upload(square.ID, "plan.bin", content)
	down.Restart()
	w.WaitConverged(t)
	w.Until("a copy", func() error { return os.Remove(down.BlobFile(blob)) }) // and a disk that loses it
	w.Until("repair", func() error {
		got, err := os.ReadFile(down.BlobFile(blob))
		if err == nil && !bytes.Equal(got, content) {
			err = errors.New("other bytes")
		}
		return err
	})
	if _, sum := verifyLines(t, down, "GET"); sum.Blobs != 1 || sum.Bad != 0 || sum.Elsewhere != 0 {
		t.Errorf("%+v", sum)
	}
}

func flipBit(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 4
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// If a bit flips in an edge's cache, the blob is fetched again, and no reader gets the wrong byte.
func TestFiles_CacheRots_Heals(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt"}})
	edge := w.Node("edge-frankfurt")
	ann := edge.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, blob := bytesOf(1, 2<<20)
	f := ann.Upload(square.ID, "plan.bin", content)
	edge.Stop() // what is in memory is not read from the disk
	flipBit(t, edge.CacheFile(blob))
	edge.Restart()
	wantBytes(t, ann.Download(f.ID), content)
	if c := caches(t, edge); c.Healed != 1 {
		t.Errorf("%+v", c)
	}
	edge.Stop()
	if err := os.Truncate(edge.CacheFile(blob), 1000); err != nil {
		t.Fatal(err)
	}
	edge.Restart()
	wantBytes(t, ann.Download(f.ID), content)
}

// A blob that is damaged or gone at home is reported with the posts that need it.
func TestFiles_OriginRots_VerifyNamesThePosts(t *testing.T) {
	home := nodetest.Start(t, nodetest.Topology{}).Nodes()[0]
	ann := home.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	var posts []core.Post
	var blobs []core.BlobID
	for i := range 3 {
		content, blob := bytesOf(uint64(i), 100_000)
		f := ann.Upload(square.ID, fmt.Sprintf("plan-%d.bin", i), content)
		posts, blobs = append(posts, ann.Post(square.ID, "", f.ID)), append(blobs, blob)
	}
	if bad, sum := verifyLines(t, home, "GET"); len(bad) != 0 || sum.Blobs != 3 || sum.Bytes != 300_000 || sum.Bad != 0 {
		t.Errorf("before: %+v %+v", bad, sum)
	}
	flipBit(t, home.BlobFile(blobs[0]))
	if err := os.Remove(home.BlobFile(blobs[1])); err != nil {
		t.Fatal(err)
	}
	bad, sum := verifyLines(t, home, "GET")
	if len(bad) != 2 || sum.Bad != 2 {
		t.Fatalf("%+v %+v", bad, sum)
	}
	for i, want := range []string{"corrupt", "missing"} {
		at := slices.IndexFunc(bad, func(b admin.BadBlob) bool { return b.Digest == blobs[i].String() })
		if at < 0 || bad[at].Problem != want || len(bad[at].Files) != 1 || bad[at].Files[0].PostID != posts[i].ID || bad[at].Files[0].ChannelID != square.ID {
			t.Errorf("%s: %+v", want, bad)
		}
	}
	if err := os.Truncate(home.BlobFile(blobs[2]), 10); err != nil {
		t.Fatal(err)
	}
	if bad, _ = verifyLines(t, home, "GET"); !slices.ContainsFunc(bad, func(b admin.BadBlob) bool { return b.Problem == "wrong size" }) {
		t.Errorf("%+v", bad)
	}
}

// A copy that is damaged at one of several home nodes is reported, and repaired on request.
func TestFiles_OneCopyRots_VerifyRepairs(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt"}})
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, blob := bytesOf(1, 100_000)
	ann.Upload(square.ID, "plan.bin", content)
	for _, n := range w.Nodes()[:3] {
		w.Until("a copy at "+n.Name, func() error { _, err := os.Stat(n.BlobFile(blob)); return err })
	}
	w.WaitConverged(t)
	home := w.Nodes()[1]
	flipBit(t, home.BlobFile(blob))
	if bad, sum := verifyLines(t, home, "GET"); len(bad) != 1 || bad[0].Problem != "corrupt" || sum.Bad != 1 {
		t.Errorf("%+v %+v", bad, sum)
	}
	if bad, sum := verifyLines(t, home, "POST"); len(bad) != 1 || !bad[0].Repaired || sum.Bad != 0 || sum.Repaired != 1 {
		t.Errorf("%+v %+v", bad, sum)
	}
	if bad, sum := verifyLines(t, home, "GET"); len(bad) != 0 || sum.Bad != 0 {
		t.Errorf("%+v %+v", bad, sum)
	}
}

// While home cannot be reached, an edge serves the files that it has, refuses uploads with 503, and keeps
// nothing of them.
func TestFiles_HomeAway_CachedAreServed(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt", "singapore"}})
	near, far := w.Node("edge-frankfurt"), w.Node("edge-singapore")
	ann := near.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, _ := bytesOf(1, 300_000)
	f := ann.Upload(square.ID, "plan.bin", content)
	w.WaitConverged(t)
	w.Nodes()[0].Kill()
	w.Until("the loss to be noticed", func() error {
		if near.Status().Connected || far.Status().Connected {
			return errors.New("still connected")
		}
		return nil
	})
	wantBytes(t, ann.Download(f.ID), content)
	if a := ann.At(far).Download(f.ID); a.Status != http.StatusServiceUnavailable {
		t.Errorf("not in the cache: %d %s", a.Status, clip(a.Body))
	}
	other, _ := bytesOf(2, 300_000)
	if a := ann.TryUpload(square.ID, "late.bin", other); a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("upload: %d %s", a.Status, clip(a.Body))
	}
	if left := near.Spooled(t); len(left) != 0 {
		t.Errorf("left in the spool: %v", left)
	}
}

// An edge with acknowledge: local accepts uploads while home cannot be reached for blobs, and copies them
// home later, also after a restart.
func TestFiles_AcknowledgedLocally_ReachHomeLater(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt"}, Files: node.Files{Acknowledge: "local"}})
	edge, home := w.Node("edge-frankfurt"), w.Nodes()[0]
	ann := edge.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, blob := bytesOf(1, 300_000)
	f := ann.Upload(square.ID, "plan.bin", content)
	edge.Stop()
	edge.Restart()
	w.Until("the blob at home", func() error { _, err := os.Stat(home.BlobFile(blob)); return err })
	wantBytes(t, ann.Download(f.ID), content)
}

// A sweep removes an old blob without a reference, and keeps what files refer to, however old it is.
func TestFiles_Sweep_KeepsWhatIsNeeded(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt"}})
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, needed := bytesOf(1, 1000)
	ann.Upload(square.ID, "plan.bin", content)
	w.WaitConverged(t)
	long := time.Now().Add(-100 * 24 * time.Hour)
	for _, n := range w.Nodes()[:3] {
		orphanBytes, orphan := bytesOf(2, 1000)
		file := n.BlobFile(orphan)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, orphanBytes, 0o600); err != nil {
			t.Fatal(err)
		}
		w.Until("a copy at "+n.Name, func() error { _, err := os.Stat(n.BlobFile(needed)); return err })
		for _, f := range []string{file, n.BlobFile(needed)} {
			if err := os.Chtimes(f, long, long); err != nil {
				t.Fatal(err)
			}
		}
		var done admin.Sweep
		if got := n.Admin(t, "POST", "/v1/files/sweep", "", &done); got != http.StatusOK || done.Swept != 1 || done.Orphans != 1 || done.Blobs != 2 {
			t.Errorf("%s: %d %+v", n.Name, got, done)
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the orphan: %v", n.Name, err)
		}
		if _, err := os.Stat(n.BlobFile(needed)); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
	}
}

// Caches are warmed and purged by the administration of the edges, and of no other node.
func TestFiles_WarmAndPurge(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt", "tokyo"}})
	near, far, home := w.Node("edge-frankfurt"), w.Node("edge-tokyo"), w.Nodes()[0]
	ann := near.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, blob := bytesOf(1, 100_000)
	ann.Upload(square.ID, "plan.bin", content)
	w.WaitConverged(t)
	var warmed admin.Warmed
	if got := far.Admin(t, "POST", "/v1/cdn/warm", `{"recent":5}`, &warmed); got != http.StatusOK || warmed.Warmed != 1 || warmed.Failed != 0 {
		t.Errorf("recent: %d %+v", got, warmed)
	}
	if far.CacheFile(blob) == "" {
		t.Error("it is not in the cache")
	}
	var purged admin.Purged
	if got := far.Admin(t, "POST", "/v1/cdn/purge", `{"all":true}`, &purged); got != http.StatusOK || purged.Purged != 1 {
		t.Errorf("purge: %d %+v", got, purged)
	}
	body := fmt.Sprintf(`{"digests":[%q,%q]}`, blob, strings.Repeat("ab", 32))
	if got := far.Admin(t, "POST", "/v1/cdn/warm", body, &warmed); got != http.StatusOK || warmed.Warmed != 1 || warmed.Failed != 1 {
		t.Errorf("by digest: %d %+v", got, warmed)
	}
	for path, bad := range map[string]string{
		"/v1/cdn/warm": `{"digests":["abc"]}`, "/v1/cdn/purge": `{"everything":true}`, "/v1/files/sweep": `[]`,
	} {
		if got := far.Admin(t, "POST", path, bad, nil); got != http.StatusBadRequest {
			t.Errorf("%s %s: %d", path, bad, got)
		}
	}
	for _, path := range []string{"/v1/cdn", "/v1/files/verify"} {
		asked := map[string]*nodetest.Node{"/v1/cdn": home, "/v1/files/verify": far}[path]
		if got := asked.Admin(t, "GET", path, "", nil); got != http.StatusBadRequest {
			t.Errorf("%s at %s: %d", path, asked.Name, got)
		}
	}
	seen := metricsOf(t, far)
	for name, want := range map[string]string{
		"nearside_cache_fills_total": "2", "nearside_cache_files": "1", "nearside_files_origin_up": "1", "nearside_cache_healed_total": "0",
		`nearside_cache_served_bytes_total{from="memory"}`: "0",
	} {
		if seen[name] != want {
			t.Errorf("%s is %q, want %s", name, seen[name], want)
		}
	}
	var st admin.FilesStatus
	if home.Admin(t, "GET", "/v1/files", "", &st); st.Store != "disk" || st.Blobs != 1 || st.Bytes != 100_000 {
		t.Errorf("status: %+v", st)
	}
}

// metricsOf gives a node's metrics by name and labels.
func metricsOf(t *testing.T, n *nodetest.Node) map[string]string {
	t.Helper()
	resp, err := n.Place().Ask(t.Context(), "GET", "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			seen[name] = value
		}
	}
	return seen
}

// inBucket is the configuration of files in a bucket of a test's own server.
func inBucket(t *testing.T, s *s3test.Server) node.Files {
	return node.Files{Redirect: true, S3: &node.S3{
		Endpoint: s.Endpoint, Bucket: s.Bucket(t), Prefix: "chat", PathStyle: "path", Region: s3test.Region, AccessKey: s.AccessKey, SecretKey: node.Secret(s.SecretKey),
	}}
}

// With a bucket, files are there and not on the home nodes' disks. With redirect, readers are sent to it.
// verify finds a damaged object. While the bucket cannot be reached, cached files are served and uploads
// are refused.
func TestFiles_Bucket_WholeStory(t *testing.T) {
	store := s3test.Start(t)
	files := inBucket(t, store)
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt", "singapore"}, Files: files, Configure: func(cfg *node.Config) {
		if cfg.Region == "singapore" { // it reaches the bucket through home
			cfg.Files = node.Files{}
		}
	}})
	near, far, home := w.Node("edge-frankfurt"), w.Node("edge-singapore"), w.Nodes()[0]
	ann := near.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	content, blob := bytesOf(1, 400_000)
	f := ann.Upload(square.ID, "plan.bin", content)
	post := ann.Post(square.ID, "", f.ID)
	if _, err := os.Stat(home.BlobFile(blob)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is on the home node's disk: %v", err)
	}
	wantBytes(t, ann.At(far).Download(f.ID), content)
	a := ann.Download(f.ID)
	to := a.Header.Get("Location")
	if a.Status/100 != 3 || !strings.HasPrefix(to, store.Endpoint) || strings.Contains(to, "plan") && !strings.Contains(to, "response-content-disposition") {
		t.Fatalf("redirect: %d to %q", a.Status, to)
	}
	resp, err := http.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the bucket gives %d bytes of %d: %v", len(got), len(content), err)
	}
	if bad, sum := verifyLines(t, home, "GET"); len(bad) != 0 || sum.Blobs != 1 || sum.Store != "s3" {
		t.Errorf("verify: %+v %+v", bad, sum)
	}
	name := blob.String()
	flipBit(t, store.File(files.S3.Bucket, "chat/"+name[:2]+"/"+name[2:4]+"/"+name))
	bad, _ := verifyLines(t, home, "GET")
	if len(bad) != 1 || bad[0].Problem != "corrupt" || len(bad[0].Files) != 1 || bad[0].Files[0].PostID != post.ID {
		t.Errorf("verify after a bit has flipped: %+v", bad)
	}
	store.Stop()
	wantBytes(t, ann.At(far).Download(f.ID), content)
	if a := ann.TryUpload(square.ID, "late.bin", []byte("late")); a.Status != http.StatusServiceUnavailable {
		t.Errorf("upload without the bucket: %d %s", a.Status, clip(a.Body))
	}
}

// With wrong keys or without the bucket, a home node does not start, and the error names the key to correct.
// An edge starts, because it can serve what it has, and reports the same.
func TestFiles_BucketMisconfigured_StartSaysSo(t *testing.T) {
	store := s3test.Start(t)
	good := inBucket(t, store)
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt"}, Files: good})
	home, edge := w.Nodes()[0], w.Node("edge-frankfurt")
	spoil := map[string]func(*node.S3){
		"secret_key": func(s *node.S3) { s.SecretKey = "wrong" },
		"bucket":     func(s *node.S3) { s.Bucket = "nothing-there" },
	}
	for key, wrong := range spoil {
		bad := *good.S3
		wrong(&bad)
		home.Stop()
		home.Configure(func(cfg *node.Config) { cfg.Files.S3 = &bad })
		home.Begin()
		if err := home.Wait(); err == nil || !strings.Contains(err.Error(), "files.s3."+key) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: home ends with %v", key, err)
		}
		home.Configure(func(cfg *node.Config) { cfg.Files.S3 = good.S3 })
		home.Restart()
		edge.Stop()
		edge.Configure(func(cfg *node.Config) { cfg.Files.S3 = &bad })
		edge.Restart()
		var st admin.FilesStatus
		if edge.Admin(t, "GET", "/v1/files", "", &st); !strings.Contains(st.Trouble, "files.s3."+key) {
			t.Errorf("%s: the edge says %q", key, st.Trouble)
		}
	}
}

// A home node starts although the bucket cannot be reached: ordering does not need it.
func TestFiles_BucketAway_HomeStarts(t *testing.T) {
	store := s3test.Start(t)
	files := inBucket(t, store)
	store.Stop()
	w := nodetest.Start(t, nodetest.Topology{Files: files})
	var st admin.FilesStatus
	if w.Nodes()[0].Admin(t, "GET", "/v1/files", "", &st); !strings.Contains(st.Trouble, "cannot be reached") {
		t.Errorf("%+v", st)
	}
	w.Nodes()[0].Client(t).SignUp("ann")
}
