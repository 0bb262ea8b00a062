package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// inherited gives the path under which a child process sees name in the server's directory. It leads
// through the handle that the child inherits, so the child needs no access to the directories above.
func (c *cluster) inherited(name string) string { return filepath.Join("/proc/self/fd/3", name) }

// attributes puts the child into a process group of its own, so that Ctrl-C does not reach it and we
// stop it in the right order. The child also quits when this process dies, in whatever way.
func (c *cluster) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if c.account != nil {
		a.Credential = c.account.credential()
	}
	return a
}

// checkSocketPath accepts every path: dialSocket does not use it.
func checkSocketPath(string) error { return nil }

// dialSocket connects through a handle of the socket's directory, because the path in a socket address
// has at most 107 bytes.
func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: err}
	}
	defer f.Close()
	var d net.Dialer
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketFile))
}

// processesIn gives the PostgreSQL processes with a directory as their working directory, as a server
// and its children have it. It compares inodes, because paths are wrong after a move.
func processesIn(dir string) ([]int, error) {
	want, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		got, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended, or is a kernel thread or another user's process
		}
		if err != nil || !os.SameFile(want, got) {
			continue
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err == nil && strings.HasPrefix(filepath.Base(exe), "postgres") {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
