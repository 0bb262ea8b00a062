package api

import (
	_ "embed"
	"strings"
)

// Operations lists every operation of the API, one per line: method, path, name, area.
//
//go:embed operations.tsv
var Operations string

// newRouter builds the router: the routes that are built, and 501 for the rest of the API.
func newRouter(built []Route) (*router, error) {
	top := new(router)
	for i := range built {
		if err := top.add(&built[i]); err != nil {
			return nil, err
		}
	}
	for line := range strings.Lines(Operations) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 4 || f[0] == "method" {
			continue
		}
		r := refusing(f[0], f[1], NotBuilt.With("reason", "operation", "operation", f[2]))
		_ = top.add(&r) // an error means that it is built
	}
	return top, nil
}
