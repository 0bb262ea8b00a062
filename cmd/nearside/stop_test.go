package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nearside/nearside/core/eventually"
)

// A stop is clean at any moment, also before "ready" and with two signals, as shells and timeout(1) send
// them. The next start works without help.
func TestServe_Stopped_AtAnyMoment(t *testing.T) {
	root := t.TempDir()
	for i, made := range []string{"lock", "postgres", "postgres/data", "postgres/data/postmaster.pid", "region"} {
		dir := filepath.Join(root, fmt.Sprint(i/2)) // every second start is in a directory where another one was stopped
		p := start(t, "serve", "--data", dir, "--listen", "127.0.0.1:0")
		eventually.Nil(t, func() error {
			pid, err := os.ReadFile(filepath.Join(dir, "lock"))
			if err == nil && strings.TrimSpace(string(pid)) != fmt.Sprint(p.cmd.Process.Pid) {
				err = errors.New("it has not begun")
			}
			if err == nil {
				_, err = os.Stat(filepath.Join(dir, made))
			}
			return err
		})
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("stopped when there was %s: exit code %d, said\n%s", made, code, p.said.String())
		}
		if !t.Failed() && strings.Contains(p.said.String(), "nearside: ") {
			t.Errorf("stopped when there was %s it complained:\n%s", made, p.said.String())
		}
	}
	p := start(t, "serve", "--data", filepath.Join(root, "0"), "--listen", "127.0.0.1:0")
	p.until("ready ")
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	if code := p.stop(syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d after two signals", code)
	}
}
