package node

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is wrong with the settings of files is said with the key that has to be mended.
func TestFiles_BadSettings_NameTheKey(t *testing.T) {
	keys := func(change func(*S3)) *S3 {
		s := &S3{Bucket: "b", AccessKey: "a", SecretKey: "s", Region: "eu"}
		change(s)
		return s
	}
	for want, f := range map[string]Files{
		"files.max_mb":        {MaxMB: -1},
		"files.cache_mb":      {CacheMB: -1},
		"files.acknowledge":   {Acknowledge: "soon"},
		"files.redirect":      {Redirect: true},
		"excludes sse: c":     {Redirect: true, S3: keys(func(s *S3) { s.SSE, s.SSEKeyFile = "c", "/key" })},
		"acknowledge: local":  {Redirect: true, Acknowledge: "local", S3: keys(func(*S3) {})},
		"files.grace":         {Grace: time.Minute},
		"files.keep_deleted":  {KeepDeleted: -time.Hour},
		"files.clamd":         {Clamd: "clamd"},
		"after unix:":         {Clamd: "unix:run/clamd"},
		"files.s3.bucket":     {S3: keys(func(s *S3) { s.Bucket = "" })},
		"files.s3.iam":        {S3: keys(func(s *S3) { s.IAM = true })},
		"files.s3.path_style": {S3: keys(func(s *S3) { s.PathStyle = "any" })},
		"files.s3.endpoint":   {S3: keys(func(s *S3) { s.Endpoint = "ftp://x" })},
		"files.s3.sse":        {S3: keys(func(s *S3) { s.SSE = "rot13" })},
	} {
		if err := f.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	for _, good := range []Files{
		{}, {Clamd: "unix:/run/clamd.ctl"}, {Clamd: "10.0.0.1:3310"}, {S3: keys(func(*S3) {}), Redirect: true},
		{Acknowledge: "local", Grace: 2 * time.Hour},
	} {
		if err := good.check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}

// A secret is in the configuration that is written, and nowhere else.
func TestSecret_IsNotShown(t *testing.T) {
	cfg := Config{Name: "a", Region: "b", Roles: []string{RoleHome}, Data: "d", Files: Files{S3: &S3{Bucket: "b", AccessKey: "a", SecretKey: "hush"}}}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "files", cfg.Files.S3.SecretKey, "all", fmt.Sprint(*cfg.Files.S3))
	inJSON, err := json.Marshal(cfg.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{log.String(), string(inJSON), fmt.Sprintf("%v %+v %#v %s", *cfg.Files.S3, cfg.Files.S3, *cfg.Files.S3, cfg.Files.S3.SecretKey)} {
		if strings.Contains(shown, "hush") {
			t.Errorf("shown: %s", shown)
		}
	}
	raw, err := cfg.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(file); err != nil || got.Files.S3.SecretKey != "hush" {
		t.Errorf("%v: %s", err, raw)
	}
}

// Paths in the settings of files are relative to the configuration that names them.
func TestFiles_Paths_AreRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "node.yaml")
	text := "name: a\nregion: b\nroles: [home]\ndata: d\nfiles: {dir: blobs, s3: {bucket: b, access_key: a, secret_file: key}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(file)
	if err != nil || cfg.Files.Dir != filepath.Join(dir, "blobs") || cfg.Files.S3.SecretFile != filepath.Join(dir, "key") {
		t.Errorf("%+v, %v", cfg.Files, err)
	}
}

// The doctor finds what keeps a node from starting, and changes nothing.
func TestDiagnose_FindsWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	data := t.TempDir()
	cfg := Config{
		Name: "edge-1", Region: "here", Roles: []string{RoleEdge}, Data: data, Home: []Peer{{Node: "home-1", Addr: "127.0.0.1:1"}},
		Client: Client{Listen: taken.Addr().String(), Assets: data}, Link: Link{Listen: "127.0.0.1:0"},
		Postgres: Postgres{DSN: "postgres://nobody@127.0.0.1:1/none"}, Files: Files{Clamd: "127.0.0.1:1"},
	}
	verdicts := map[string]string{}
	for _, f := range Diagnose(t.Context(), cfg) {
		verdicts[f.Key] = f.Verdict
	}
	for key, want := range map[string]string{
		"data": VerdictOK, "pki": VerdictBad, "client.listen": VerdictBad, "admin.listen": VerdictOK, "link.listen": VerdictOK,
		"postgres": VerdictBad, "files": VerdictOK, "files.clamd": VerdictBad, "client.assets": VerdictBad,
	} {
		if verdicts[key] != want && !(key == "data" && verdicts[key] == VerdictWarning) { // a full disk is no fault of ours
			t.Errorf("%s: %q, want %q", key, verdicts[key], want)
		}
	}
	unlock, err := Lock(data, LockFile)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	for _, f := range Diagnose(t.Context(), cfg) {
		if f.Key == "client.listen" || f.Key == "postgres" {
			t.Errorf("while the node runs: %+v", f)
		}
	}
}

// The doctor warns of a scanner that refuses files which files.max_mb allows.
func TestDiagnose_SmallScanner_Warns(t *testing.T) {
	for limit, want := range map[int]string{1 << 20: VerdictOK, 1<<20 - 1: VerdictWarning} {
		cfg := Config{Roles: []string{RoleEdge}, Files: Files{MaxMB: 1, Clamd: fakeClamd(t, limit)}}
		d := &doctor{cfg: cfg.withDefaults()}
		d.look("files.clamd", func() (string, error) { return d.clamd(t.Context()) })
		if got := d.found[0]; got.Verdict != want || want == VerdictWarning && !strings.Contains(got.Says, "StreamMaxLength") {
			t.Errorf("limit %d: %+v, want %s", limit, got, want)
		}
	}
}

// fakeClamd finds nothing in streams of up to limit bytes, and refuses longer ones.
func fakeClamd(t *testing.T, limit int) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(conn, judge(conn, limit))
			_, _ = io.Copy(io.Discard, conn) // or closing could take the answer back
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func judge(r io.Reader, limit int) string {
	_, _ = io.ReadFull(r, make([]byte, len("zINSTREAM\x00")))
	for left := limit; ; {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return ""
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if n == 0 {
			return "stream: OK\x00"
		}
		if left -= n; left < 0 {
			return "INSTREAM size limit exceeded. ERROR\x00"
		}
		_, _ = io.CopyN(io.Discard, r, int64(n))
	}
}
