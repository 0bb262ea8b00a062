package admin

import (
	"fmt"
	"os"
)

// reachable gives a name of a directory that is short enough for the address of a socket, which has at most
// 107 bytes, until done is called.
func reachable(dir string) (short string, done func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d", f.Fd()), func() { f.Close() }, nil
}
