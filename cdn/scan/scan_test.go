package scan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// fakeClamd speaks INSTREAM: it finds content with "virus", refuses more than limit bytes, and
// does not answer content that starts with "silent".
func fakeClamd(t *testing.T, network, address string, limit int) string {
	t.Helper()
	l, err := net.Listen(network, address)
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
			serve(conn, limit)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func serve(conn net.Conn, limit int) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(eventually.Limit))
	head := make([]byte, len("zINSTREAM\x00"))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "zINSTREAM\x00" {
		_, _ = io.WriteString(conn, "UNKNOWN COMMAND\x00")
		return
	}
	var all []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		if n == 0 {
			break
		}
		if len(all)+n > limit {
			_, _ = io.WriteString(conn, "INSTREAM size limit exceeded. ERROR\x00")
			return
		}
		part := make([]byte, n)
		if _, err := io.ReadFull(conn, part); err != nil {
			return
		}
		all = append(all, part...)
	}
	switch {
	case bytes.HasPrefix(all, []byte("silent")):
		_, _ = conn.Read(head) // until the caller hangs up
	case bytes.HasPrefix(all, []byte("nonsense")):
		_, _ = io.WriteString(conn, "stream: what\x00")
	case bytes.Contains(all, []byte("virus")):
		_, _ = io.WriteString(conn, "stream: Test.Virus-1 FOUND\x00")
	default:
		_, _ = io.WriteString(conn, "stream: OK\x00")
	}
}

func clamd(t *testing.T, cfg Config) *Clamd {
	t.Helper()
	c, err := NewClamd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Clean, infected and large content get their verdicts over both kinds of sockets.
func TestClamd_Verdicts(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "c")} {
		c := clamd(t, Config{Network: network, Address: fakeClamd(t, network, address, 1<<20)})
		for content, want := range map[string]Verdict{
			"": {}, "clean": {}, strings.Repeat("x", 3*chunkBytes): {},
			strings.Repeat("x", chunkBytes-2) + "virus": {Infected: true, Signature: "Test.Virus-1"},
		} {
			got, err := c.Scan(t.Context(), strings.NewReader(content))
			if err != nil || got != want {
				t.Errorf("%s, %d bytes: %+v, %v", network, len(content), got, err)
			}
		}
	}
}

// No failure gives a clean verdict: each has its own kind.
func TestClamd_Failures(t *testing.T) {
	address := fakeClamd(t, "tcp", "127.0.0.1:0", 2*chunkBytes)
	gone := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		cfg  Config
		body io.Reader
		want core.Kind
	}{
		"not there": {Config{Network: "unix", Address: gone}, strings.NewReader("x"), core.KindUnavailable},
		"nonsense":  {Config{Network: "tcp", Address: address}, strings.NewReader("nonsense"), core.KindUnavailable},
		"silent":    {Config{Network: "tcp", Address: address, Timeout: 300 * time.Millisecond}, strings.NewReader("silent"), core.KindTimeout},
		"source":    {Config{Network: "tcp", Address: address}, iotest.ErrReader(errors.New("disk")), core.KindInternal},
	} {
		_, err := clamd(t, c.cfg).Scan(t.Context(), c.body)
		if core.KindOf(err) != c.want {
			t.Errorf("%s: %v, not %v", name, err, c.want)
		}
	}
}

// clamd's answers are parsed as it writes them, including the size limit.
func TestParse_Answers(t *testing.T) {
	if v, err := parse("stream: Eicar FOUND"); err != nil || v != (Verdict{true, "Eicar"}) {
		t.Errorf("found: %+v, %v", v, err)
	}
	if _, err := parse("INSTREAM size limit exceeded. ERROR"); core.KindOf(err) != core.KindTooLarge {
		t.Errorf("limit: %v", err)
	}
	if _, err := parse(""); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("empty: %v", err)
	}
}

// An invalid address is refused before anything is scanned.
func TestNewClamd_RefusesNonsense(t *testing.T) {
	for _, cfg := range []Config{{}, {Network: "udp", Address: "x"}, {Network: "tcp"}} {
		if _, err := NewClamd(cfg); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
