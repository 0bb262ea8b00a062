package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The median over the runs is taken of each number of each benchmark.
func TestParseBench(t *testing.T) {
	got := parseBench([]byte(`goos: linux
BenchmarkCommit/voters=3/clients=1-2   100   500000 ns/op   2.5 p99-ms
BenchmarkCommit/voters=3/clients=1-2   100   900000 ns/op   9.5 p99-ms
BenchmarkCommit/voters=3/clients=1-2   100   600000 ns/op   3.5 p99-ms
BenchmarkApply   7   0.55 ratio
PASS
`))
	want := map[string]measured{
		"Commit/voters=3/clients=1": {"ns/op": 600000, "p99-ms": 3.5},
		"Apply":                     {"ratio": 0.55},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A missed target, a count that is not zero and a part that was not measured all fail the run.
func TestReport_Concludes(t *testing.T) {
	var r report
	r.atLeast("fast", 10, 5, "/s")
	r.within("quick", time.Millisecond, time.Second)
	if code := r.conclude(); code != 0 {
		t.Errorf("all good gives %d", code)
	}
	for name, add := range map[string]func(){
		"slow":         func() { r.atLeast("slow", 1, 5, "/s") },
		"late":         func() { r.within("late", time.Minute, time.Second) },
		"not measured": func() { r.within("nothing", 0, time.Second) },
		"lost":         func() { r.none("lost", 1) },
	} {
		r = report{}
		if add(); r.conclude() != 1 {
			t.Errorf("%s: passes", name)
		}
	}
}
