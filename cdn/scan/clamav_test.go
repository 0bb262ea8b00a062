//go:build clamav

// These tests use ClamAV itself. They start their own clamd with one signature, so no database is
// downloaded:
//
//	apt-get install clamav-daemon
//	go test -tags clamav ./cdn/scan
//
// To use a running daemon with its real database instead, name its socket:
//
//	NEARSIDE_CLAMD=unix:/run/clamav/clamd.ctl go test -tags clamav ./cdn/scan
package scan

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
)

// harmless is the EICAR test file, in two halves so that no scanner finds it in this source.
var harmless = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

const streamLimit = 1 << 20

// realClamd returns the clamd that is named in the environment, or one of our own.
func realClamd(t *testing.T) *Clamd {
	t.Helper()
	if at := os.Getenv("NEARSIDE_CLAMD"); at != "" {
		network, address, ok := strings.Cut(at, ":")
		if !ok || network != "unix" {
			network, address = "tcp", at
		}
		return clamd(t, Config{Network: network, Address: address})
	}
	program, err := exec.LookPath("clamd")
	if err != nil {
		program = "/usr/sbin/clamd"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("clamd is not installed: apt-get install clamav-daemon")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "clamd.sock")
	write(t, filepath.Join(dir, "test.ndb"), "Nearside.Test:0:*:"+hex.EncodeToString([]byte(harmless))+"\n")
	conf := filepath.Join(dir, "clamd.conf")
	user := ""
	if os.Geteuid() == 0 {
		user = "User root\n" // the directory is readable by us only
	}
	write(t, conf, fmt.Sprintf("%sForeground yes\nDatabaseDirectory %s\nLocalSocket %s\nTemporaryDirectory %s\nStreamMaxLength %d\n", user, dir, socket, dir, streamLimit))
	cmd := exec.CommandContext(t.Context(), program, "-c", conf)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Cancel(); <-ended })
	deadline := time.After(time.Minute)
	for {
		if conn, err := net.Dial("unix", socket); err == nil {
			_ = conn.Close()
			return clamd(t, Config{Network: "unix", Address: socket})
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ended:
			t.Fatalf("clamd ended: %s", &log)
		case <-deadline:
			t.Fatalf("clamd does not answer: %s", &log)
		}
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ClamAV finds its test file, also inside a zip, and nothing in a clean file.
func TestClamAV_Verdicts(t *testing.T) {
	c := realClamd(t)
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	w, err := z.Create("inside.com")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(harmless))
	_ = z.Close()
	for name, in := range map[string]struct {
		content  string
		infected bool
	}{
		"clean": {"hello", false}, "empty": {"", false}, "several chunks": {strings.Repeat("hello ", 100_000), false},
		"the test file": {harmless, true}, "in a zip": {zipped.String(), true},
	} {
		v, err := c.Scan(t.Context(), strings.NewReader(in.content))
		if err != nil || v.Infected != in.infected || v.Infected != (v.Signature != "") {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

// A file over ClamAV's own limit is an error, not a clean verdict.
func TestClamAV_OverItsLimit(t *testing.T) {
	if os.Getenv("NEARSIDE_CLAMD") != "" {
		t.Skip("the limit of a running daemon is not known")
	}
	_, err := realClamd(t).Scan(t.Context(), bytes.NewReader(make([]byte, 4*streamLimit)))
	if core.KindOf(err) != core.KindTooLarge {
		t.Errorf("%v", err)
	}
}
