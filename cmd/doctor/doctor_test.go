package doctor

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/node"
)

// The doctor finds what keeps a node from starting, and changes nothing.
func TestDiagnose_FindsWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	data := t.TempDir()
	cfg := node.Config{
		Name: "edge-1", Region: "here", Roles: []string{node.RoleEdge}, Data: data, Home: []node.Peer{{Node: "home-1", Addr: "127.0.0.1:1"}},
		Client: node.Client{Listen: taken.Addr().String(), Assets: data}, Admin: node.Admin{Listen: "127.0.0.1:0"}, Link: node.Link{Listen: "127.0.0.1:0"},
		Postgres: node.Postgres{DSN: "postgres://nobody@127.0.0.1:1/none"}, Files: node.Files{Clamd: "127.0.0.1:1"},
	}
	verdicts := map[string]string{}
	for _, f := range Diagnose(t.Context(), cfg) {
		verdicts[f.Key] = f.Verdict
	}
	for key, want := range map[string]string{
		"data": VerdictOK, "pki": VerdictBad, "client.listen": VerdictBad, "admin.listen": VerdictOK, "link.listen": VerdictOK,
		"postgres": VerdictBad, "files": VerdictOK, "files.clamd": VerdictBad, "client.assets": VerdictBad,
	} {
		if verdicts[key] != want && !(key == "data" && verdicts[key] == VerdictWarning) { // the disk of the test machine may be nearly full
			t.Errorf("%s: %q, want %q", key, verdicts[key], want)
		}
	}
	unlock, err := node.Lock(data, node.LockFile)
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
		cfg := node.Config{Roles: []string{node.RoleEdge}, Files: node.Files{MaxMB: 1, Clamd: fakeClamd(t, limit)}}
		d := &doctor{cfg: cfg.WithDefaults()}
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
			_, _ = io.Copy(io.Discard, conn) // otherwise closing could discard the answer
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
