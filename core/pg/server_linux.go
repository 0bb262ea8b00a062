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

// inherited gives the path under which a child sees name in the server's directory: through
// the handle it inherits, so that no directory above need be open to it.
func (c *cluster) inherited(name string) string { return filepath.Join("/proc/self/fd/3", name) }

// attributes: a group of its own, so that Ctrl-C reaches only us and we stop it in our order;
// and it quits when we die, however we die.
func (c *cluster) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if c.account != nil {
		a.Credential = c.account.credential()
	}
	return a
}

// checkSocketPath accepts any path: dialSocket needs none.
func checkSocketPath(string) error { return nil }

// dialSocket connects through a handle on the socket's directory, because the path in a socket
// address is cut at 107 bytes.
func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: err}
	}
	defer f.Close()
	var d net.Dialer
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketFile))
}

// processesIn gives the PostgreSQL processes that work in a directory. Both a server and its
// children do, and the directory is told by its inode: paths lie after a move.
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
			continue // ended, a kernel thread, or somebody else's
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
