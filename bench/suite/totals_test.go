package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every test counts once, a package that fails without a failed test counts once, and a skipped test is
// listed with its reason.
func TestTotals_GoTests(t *testing.T) {
	var sum totals
	sum.goTests(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestS","Output":"=== RUN   TestS\n"}
{"Action":"output","Package":"p","Test":"TestS","Output":"    s_test.go:5: no tmpfs here\n"}
{"Action":"output","Package":"p","Test":"TestS","Output":"--- SKIP: TestS (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestS"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}
not json: a build that failed says this
{"Action":"fail","Package":"q","FailedBuild":"q"}
`))
	want := []string{"p TestB", "q (the package itself)"}
	if diff := cmp.Diff(want, sum.failures); diff != "" || sum.passed != 2 {
		t.Errorf("passed %d, failures (-want +got):\n%s", sum.passed, diff)
	}
	if diff := cmp.Diff([]string{"p TestS: s_test.go:5: no tmpfs here"}, sum.skips); diff != "" {
		t.Errorf("skips (-want +got):\n%s", diff)
	}
	if code := sum.print(time.Second); code != 1 {
		t.Errorf("exit code %d after failures", code)
	}
}

// The driver test's own totals are added, and each of its failures is named.
func TestTotals_TAP(t *testing.T) {
	var sum totals
	sum.tap(strings.NewReader("ok 1 - one\nnot ok 2 - two\nok 3 - three # SKIP no demo\n# pass 1\n# fail 1\n"))
	if sum.passed != 1 || len(sum.failures) != 1 || len(sum.skips) != 1 {
		t.Errorf("got %+v", &sum)
	}
}

// A step whose command fails without naming a test is a failure, and one that succeeds counts.
func TestTotals_ExitCode(t *testing.T) {
	var sum totals
	for _, s := range []step{{name: "good", args: []string{"true"}}, {name: "bad", args: []string{"false"}}} {
		s.read = (*totals).exitCodeOnly
		sum.run(t.Context(), s)
	}
	if sum.passed != 1 || len(sum.failures) != 1 {
		t.Errorf("got %+v", &sum)
	}
}

// The package lines of a build are counted and not printed; other lines are printed.
func TestTotals_Compiled(t *testing.T) {
	var sum totals
	sum.compiled(strings.NewReader("net/http\ngithub.com/jackc/pgx/v5\n# cmd/x\ncmd/x/x.go:3:1: undefined: y\n"))
	if got := sum.doing.Load(); got != "on package 2, github.com/jackc/pgx/v5" {
		t.Errorf("got %v", got)
	}
}
