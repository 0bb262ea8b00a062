package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/nearside/nearside/core"
)

// What a node keeps for operators, below its data directory.
const (
	dirName    = "admin"
	socketName = "socket"
	tokenName  = "token"
)

// SocketPath is the path of the socket of the node with a data directory.
func SocketPath(data string) string { return filepath.Join(data, dirName, socketName) }

// listener is a listener on a socket. It gives the path as people know it, and removes the file at its end.
type listener struct {
	net.Listener
	path string
}

// Addr implements net.Listener.
func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close implements net.Listener.
func (l listener) Close() error {
	err := l.Listener.Close()
	if gone := os.Remove(l.path); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// Listen opens the socket of the node with a data directory, which the caller has locked.
//
// Only the user that runs the node can connect (and root): the socket has the mode 0700, and so has its
// directory, because the socket has the mode of the umask for a moment, and not every system asks for the
// socket's own mode.
func Listen(data string) (net.Listener, error) {
	dir := filepath.Join(data, dirName)
	if err := private(dir); err != nil {
		return nil, fmt.Errorf("administration: %w", err)
	}
	path := SocketPath(data)
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("administration: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, core.E(core.KindConflict, "%s is in the way of the administration socket; remove it", path)
	default: // of a process that was killed
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("administration: %w", err)
		}
	}
	short, done, err := reachable(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, socketName), Net: "unix"})
	if err != nil {
		return nil, core.E(core.KindUnavailable, "cannot listen on the administration socket %s", path).WithCause(err)
	}
	l.SetUnlinkOnClose(false) // by then the short name may be another directory's
	got := listener{Listener: l, path: path}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("administration: %w", err), got.Close())
	}
	return got, nil
}

// private makes a directory that only its owner may enter.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return errors.Join(fmt.Errorf("%s is not a directory", dir), err)
	}
	return os.Chmod(dir, 0o700)
}
