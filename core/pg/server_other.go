//go:build !linux

package pg

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/nearside/nearside/core"
)

// inherited gives the path under which a child sees name in the server's directory.
func (c *cluster) inherited(name string) string { return filepath.Join(c.root, name) }

// attributes puts the child into a process group of its own, so that Ctrl-C does not reach it and we
// stop it in the right order.
func (c *cluster) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if c.account != nil {
		a.Credential = c.account.credential()
	}
	return a
}

// checkSocketPath refuses a path that does not fit into a socket address.
func checkSocketPath(dir string) error {
	const limit = 103
	if n := len(filepath.Join(dir, socketFile)); n > limit {
		return core.E(core.KindInvalid, "The data directory's path is %d bytes too long for a socket: choose a shorter one.", n-limit)
	}
	return nil
}

func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", filepath.Join(dir, socketFile))
}

// processesIn gives the process that the lock file in dir names, if it is a PostgreSQL server.
func processesIn(dir string) ([]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return nil, nil // no lock file, no server
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	pid := atoi(strings.TrimSpace(string(line)))
	if pid <= 1 {
		return nil, nil
	}
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", string(line)).Output()
	if err != nil || !bytes.Contains(out, []byte("postgres")) || !bytes.Contains(out, []byte(dir)) {
		return nil, nil // it has ended, or another process has the pid now
	}
	return []int{pid}, nil
}
