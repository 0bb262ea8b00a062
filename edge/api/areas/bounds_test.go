package areas_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/rate"
)

func TestBounds_EveryAnswerHasOne(t *testing.T) {
	// Whoever adds an operation that reads writes down what bounds its answer, by hand: testdata/bounds.txt has a line
	// for each. What has no small bound is made in pieces (api.InPieces), or ends with a few megabytes.
	_, s := apitest.NewHome(t)
	raw, err := os.ReadFile("testdata/bounds.txt")
	if err != nil {
		t.Fatal(err)
	}
	bounds := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			t.Fatalf("a line without a bound: %q", line)
		}
		bounds[f[0]+" "+f[1]] = strings.Join(f[2:], " ")
	}
	for _, r := range s.API.Routes() {
		if r.Method != http.MethodGet && r.Class() != rate.Read && r.Class() != rate.Search {
			continue // it answers with what it has changed
		}
		op := r.Method + " " + r.Path
		if bounds[op] == "" {
			t.Errorf("%s has no bound in testdata/bounds.txt", op)
		}
		delete(bounds, op)
	}
	for op := range bounds {
		t.Errorf("%s is no operation that reads", op)
	}
}
