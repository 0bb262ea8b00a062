//go:build !linux

package admin

import (
	"path/filepath"

	"github.com/nearside/nearside/core"
)

// reachable refuses a directory whose name is too long for the address of a socket.
func reachable(dir string) (short string, done func(), err error) {
	const limit = 103
	if n := len(filepath.Join(dir, socketName)); n > limit {
		return "", nil, core.E(core.KindInvalid, "the path of the administration socket below %s is %d bytes too long: choose a shorter data directory", dir, n-limit)
	}
	return dir, func() {}, nil
}
