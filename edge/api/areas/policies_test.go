package areas_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/edge/api/apitest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestPolicies_EveryOperationHasOne(t *testing.T) {
	// Every operation has a policy and a class of tokens that it spends, and the golden table of both
	// changes only intentionally.
	_, s := apitest.NewHome(t)
	var b strings.Builder
	for _, r := range s.API.Routes() {
		if r.Policy == "" {
			t.Errorf("%s %s has no policy", r.Method, r.Path)
		}
		fmt.Fprintf(&b, "%-6s %-84s %-8s %s\n", r.Method, r.Path, r.Class(), r.Policy)
	}
	const file = "testdata/policies.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s is stale: go test ./edge/api/areas -run TestPolicies -update (-want +got):\n%s", file, diff)
	}
}
