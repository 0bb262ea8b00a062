package api_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestErrors_GoldenTable(t *testing.T) {
	// Every kind has a status, an id and a message, and the message of a foreign error, or of one
	// for the operator, is not shown.
	var b strings.Builder
	for k := core.KindInternal; k.String() != fmt.Sprintf("kind(%d)", k); k++ {
		p := api.ProblemOf(&core.Error{Kind: k}, "", "")
		fmt.Fprintf(&b, "%-12s %d %-45s %s\n", k, p.Status, p.ID, p.Message)
	}
	p := api.ProblemOf(errors.New("password is hunter2"), "", "request")
	raw, _ := json.Marshal(p)
	fmt.Fprintf(&b, "foreign      %s\n", raw)
	fmt.Fprintf(&b, "operator's   %s\n", api.ProblemOf(core.E(core.KindDiverged, "node 3 has the digest 17"), "", "").Message)
	const file = "testdata/errors.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("the table is\n%s\nnot\n%s", got, want)
	}
}
