// Command nearside runs and watches a Nearside deployment; `nearside help` tells how.
package main

import (
	"os"

	"github.com/nearside/nearside/cmd/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(cli.Main(version, os.Args[1:], os.Stdout, os.Stderr))
}
