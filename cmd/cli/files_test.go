package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/cdn/disk"
)

// fakeNode answers as a node does, by method and path, and gives its URL.
func fakeNode(t *testing.T, answers map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"%s %s is not for me"}`, r.Method, r.URL.Path)
			return
		}
		_, _ = io.WriteString(w, strings.ReplaceAll(a, "BODY", strings.TrimSpace(string(body))))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func statusOf(name string, roles ...string) string {
	raw, _ := json.Marshal(map[string]any{"node": name, "region": "here", "roles": roles, "state": "ready"})
	return string(raw)
}

func wantOut(t *testing.T, want string, args ...string) {
	t.Helper()
	code, out, errOut := run(args...)
	if code != exitDone || errOut != "" {
		t.Errorf("%v: exit code %d, said %q", args, code, errOut)
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("%v (-want +got):\n%s", args, diff)
	}
}

const (
	verifyBad = `{"progress":{"node":"home-1","store":"disk","blobs":1,"bytes":10,"bad":0}}
{"bad":{"digest":"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae","size":10,"problem":"corrupt","cause":"x",
 "files":[{"id":"nffxe8gc53f58nchsxzjhwqn1a","name":"plan.pdf","post_id":"pffxe8gc53f58nchsxzjhwqn1a","channel_id":"cffxe8gc53f58nchsxzjhwqn1a","user_id":"uffxe8gc53f58nchsxzjhwqn1a"}],
 "users":["uffxe8gc53f58nchsxzjhwqn1a"],"uploads":[]}}
{"summary":{"node":"home-1","store":"disk","blobs":3,"bytes":2500000,"bad":1,"repaired":0,"elsewhere":0}}
`
	verifyGood = `{"summary":{"node":"home-2","store":"disk","blobs":3,"bytes":2500000,"bad":0,"repaired":0,"elsewhere":1}}` + "\n"
)

// verify asks every home node with a disk, shows which posts need a bad blob, and exits with 1.
func TestFilesVerify_BadBlob_NamesThePosts(t *testing.T) {
	one := fakeNode(t, map[string]string{"GET /v1/status": statusOf("home-1", "home"), "GET /v1/files": `{"store":"disk"}`, "GET /v1/files/verify": verifyBad})
	two := fakeNode(t, map[string]string{"GET /v1/status": statusOf("home-2", "home", "edge"), "GET /v1/files": `{"store":"disk"}`, "GET /v1/files/verify": verifyGood})
	edge := fakeNode(t, map[string]string{"GET /v1/status": statusOf("edge-1", "edge")})
	t.Setenv(adminEnv, strings.Join([]string{one, two, edge}, ","))
	code, out, errOut := run("files", "verify")
	if code != exitFailed || !strings.Contains(errOut, "1 of the blobs that were read are bad") {
		t.Errorf("exit code %d, said %q", code, errOut)
	}
	for _, want := range []string{
		`home-1  corrupt  2c26b46b68ffc68f  10     file nffxe8gc53f58nchsxzjhwqn1a "plan.pdf"  pffxe8gc53f58nchsxzjhwqn1a  cffxe8gc53f58nchsxzjhwqn1a`,
		`home-1  corrupt  2c26b46b68ffc68f  10     picture of user uffxe8gc53f58nchsxzjhwqn1a  -                           -`,
		"home-1  disk   3      2.5 MB  1    0         0\n", "home-2  disk   3      2.5 MB  0    0         1\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	code, _, errOut = run("files", "verify", "--admin", two, "--admin", "http://127.0.0.1:1")
	if code != exitFailed || !strings.Contains(errOut, "http://127.0.0.1:1 does not answer") {
		t.Errorf("a home node is away: exit code %d, said %q", code, errOut)
	}
	_, out, _ = run("files", "verify", "-o", "json")
	var got verified
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Nodes) != 2 || len(got.Bad) != 1 || got.Bad[0].Files[0].Name != "plan.pdf" {
		t.Errorf("%v: %s", err, out)
	}
}

// With a bucket, one home node verifies for all. An answer that breaks off is a failure, not a good result.
func TestFilesVerify_Bucket_IsReadOnce(t *testing.T) {
	good := `{"summary":{"node":"home-1","store":"s3","blobs":1,"bytes":1,"bad":0}}`
	one := fakeNode(t, map[string]string{"GET /v1/status": statusOf("home-1", "home"), "GET /v1/files": `{"store":"s3"}`, "GET /v1/files/verify": good})
	two := fakeNode(t, map[string]string{"GET /v1/status": statusOf("home-2", "home"), "GET /v1/files": `{"store":"s3"}`})
	code, out, errOut := run("files", "verify", "--admin", one, "--admin", two)
	if code != exitDone || !strings.Contains(out, "home-1  s3     1") || strings.Contains(out, "home-2") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	if code, _, errOut := run("files", "verify", "--admin", one, "--admin", "http://127.0.0.1:1"); code != exitDone {
		t.Errorf("another home node is away, the bucket is not: exit code %d, %s", code, errOut)
	}
	cut := fakeNode(t, map[string]string{"GET /v1/status": statusOf("home-1", "home"), "GET /v1/files": `{"store":"s3"}`,
		"GET /v1/files/verify": `{"progress":{"node":"home-1","blobs":1}}`})
	if code, _, errOut := run("files", "verify", "--admin", cut); code != exitFailed || !strings.Contains(errOut, "before it had read everything") {
		t.Errorf("cut off: exit code %d, %s", code, errOut)
	}
}

// The tables of caches and stores show the answer of each node, and only nodes with the role are asked.
func TestFilesAndCDN_Tables(t *testing.T) {
	home := fakeNode(t, map[string]string{
		"GET /v1/status":       statusOf("home-1", "home"),
		"GET /v1/files":        `{"node":"home-1","store":"disk","where":"/data/files","blobs":12,"bytes":34567,"missing":1,"pending":2,"repaired":3,"swept":4}`,
		"POST /v1/files/sweep": `{"node":"home-1","blobs":12,"bytes":34567,"orphans":2,"released":1,"swept":3,"swept_bytes":1200}`,
	})
	edge := fakeNode(t, map[string]string{
		"GET /v1/status": statusOf("edge-1", "edge"),
		"GET /v1/files":  `{"node":"edge-1","store":"home","blobs":12,"bytes":34567,"trouble":"it rains"}`,
		"GET /v1/cdn": `{"node":"edge-1","hit_ratio":0.75,"hits":3,"misses":1,"evictions":5,"healed":6,"memory_bytes":1000,"disk_bytes":2000,"origin_bytes":3000,
			"bytes":4000,"files":7,"hot":500,"pending":8,"max_bytes":1000000,"max_files":100}`,
		"POST /v1/cdn/warm":  `{"node":"edge-1","warmed":2,"failed":0}`,
		"POST /v1/cdn/purge": `{"node":"edge-1","purged":7}`,
	})
	t.Setenv(adminEnv, home+","+edge)
	wantOut(t, `NODE    STORE  AT           BLOBS  BYTES    MISSING  PENDING  REPAIRED  SWEPT  TROUBLE
home-1  disk   /data/files  12     34.6 kB  1        2        3         4      -
edge-1  home   -            12     34.6 kB  0        0        0         0      it rains
`, "files", "status")
	wantOut(t, `NODE    BLOBS  BYTES    NEVER KNOWN  RELEASED  SWEPT  BYTES SWEPT  NOTE
home-1  12     34.6 kB  2            1         3      1.2 kB       -
`, "files", "sweep")
	wantOut(t, `NODE    HIT RATIO  HITS  MISSES  FILES     BYTES         IN MEMORY  FROM MEMORY  FROM DISK  FROM ORIGIN  EVICTED  HEALED  PENDING
edge-1  0.75       3     1       7 of 100  4 kB of 1 MB  500 B      1 kB         2 kB       3 kB         5        6       8
`, "cdn", "stat")
	wantOut(t, "NODE    WARMED  FAILED  FIRST ERROR\nedge-1  2       0       -\n", "cdn", "warm", "--recent", "5")
	wantOut(t, "NODE    PURGED\nedge-1  7\n", "cdn", "purge", "--all")
}

// Wrong use of the commands on files says what to do instead.
func TestFilesAndCDN_WrongUse(t *testing.T) {
	t.Setenv(adminEnv, "")
	dir := t.TempDir()
	config := filepath.Join(dir, "node.yaml")
	if err := os.WriteFile(config, []byte("name: a\nregion: b\nroles: [home]\ndata: d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown":         {[]string{"files", "verfy"}, 2, `no command "verfy"; did you mean verify?`},
		"warm what":       {[]string{"cdn", "warm"}, 2, "--recent"},
		"purge what":      {[]string{"cdn", "purge"}, 2, "--all"},
		"purge both":      {[]string{"cdn", "purge", "--all", "x"}, 2, "or use --all"},
		"doctor of what":  {[]string{"doctor"}, 2, "--config FILE"},
		"migrate what":    {[]string{"files", "migrate"}, 2, "--from and --to"},
		"migrate whose":   {[]string{"files", "migrate", "--from", "disk", "--to", "disk:x"}, 2, "--config FILE"},
		"same store":      {[]string{"files", "migrate", "--from", "s3", "--to", "s3"}, 2, "same store"},
		"no bucket":       {[]string{"files", "migrate", "--config", config, "--from", "s3", "--to", "disk:" + dir}, 2, "add files.s3"},
		"no store":        {[]string{"files", "migrate", "--config", config, "--from", "tape", "--to", "s3"}, 2, "use disk, disk:DIR or s3"},
		"no directory":    {[]string{"files", "migrate", "--config", config, "--from", "disk:" + dir + "/none", "--to", "disk:" + dir + "/new"}, 1, "there is no directory"},
		"nobody answers":  {[]string{"cdn", "stat", "--admin", "http://127.0.0.1:1"}, 1, "no node answers"},
		"config not read": {[]string{"doctor", "--config", dir + "/none"}, 1, "cannot read the configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := run(c.args...)
			if code != c.code || !strings.Contains(errOut, c.says) {
				t.Errorf("exit code %d, want %d; said %q, want %q in it; printed %q", code, c.code, errOut, c.says, out)
			}
		})
	}
}

// A copy between directories copies everything once, skips damaged blobs and names them.
func TestFilesMigrate_Directories_CopiesOnce(t *testing.T) {
	dir := t.TempDir()
	from, to, config := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "node.yaml")
	if err := os.WriteFile(config, []byte("name: a\nregion: b\nroles: [home]\ndata: d\nfiles: {dir: from}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := disk.Open(disk.Config{Dir: from})
	if err != nil {
		t.Fatal(err)
	}
	var last cdn.Digest
	for i := range byte(3) {
		d, b := cdntest.Content(i, 1000)
		if err := source.Put(t.Context(), d, 1000, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		last = d
	}
	wantOut(t, "disk to disk:"+to+": 3 blobs, 3 kB; 3 copied, 3 kB; 0 were there; 0 bad\n", "files", "migrate", "--config", config, "--from", "disk", "--to", "disk:"+to)
	wantOut(t, "disk to disk:"+to+": 3 blobs, 3 kB; 0 copied, 0 B; 3 were there; 0 bad\n", "files", "migrate", "--config", config, "--from", "disk", "--to", "disk:"+to)
	name := last.String()
	spoiled := filepath.Join(from, name[:2], name[2:4], name)
	if err := os.WriteFile(spoiled, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := run("files", "migrate", "--config", config, "--from", "disk", "--to", "disk:"+filepath.Join(dir, "other"), "-o", "json")
	var got migrated
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailed || got.Copied != 2 || len(got.Bad) != 1 || got.Bad[0].Digest != name {
		t.Errorf("exit code %d, %s: %s", code, errOut, out)
	}
}

// Sizes are written with three digits and a fitting unit.
func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 34567: "34.6 kB", 999_600: "1 MB", 2_500_000: "2.5 MB", 3 << 40: "3.3 TB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) is %s, want %s", n, got, want)
		}
	}
}
