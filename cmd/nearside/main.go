// Command nearside runs and watches a Nearside deployment; `nearside help` tells how.
package main

import (
	"os"
	"runtime"

	"github.com/nearside/nearside/cmd/cli"
)

// version is set by the linker.
var version = "dev"

// ballast makes the garbage collector wait until a node has made some tens of megabytes of garbage. A node that
// has little to keep would otherwise collect many times a second, which was 8% of its CPU time. Nothing is ever
// written to it, so it takes no memory.
var ballast = make([]byte, 32<<20)

func main() {
	code := cli.Main(version, os.Args[1:], os.Stdout, os.Stderr)
	runtime.KeepAlive(ballast)
	os.Exit(code)
}
