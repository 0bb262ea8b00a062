// Command nearside runs and watches a Nearside deployment; see `nearside help`.
package main

import (
	"os"
	"runtime"

	"github.com/nearside/nearside/cmd/cli"
)

// version is set by the linker.
var version = "dev"

// ballast makes the garbage collector wait until there are some tens of megabytes of garbage. Otherwise a node
// with a small heap would collect many times a second, which took 8% of its CPU time. Nothing is ever written
// to it, so it takes no physical memory.
var ballast = make([]byte, 32<<20)

func main() {
	code := cli.Main(version, os.Args[1:], os.Stdout, os.Stderr)
	runtime.KeepAlive(ballast)
	os.Exit(code)
}
