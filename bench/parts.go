package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nearside/nearside/core/pg"
)

// benchRuns is how often each benchmark runs; the median counts, so that one disturbance of
// the machine does not.
const benchRuns = 3

// measured are the numbers of one benchmark by unit, as `go test -bench` prints them.
type measured map[string]float64

// benchLimit bounds all runs of the benchmarks of a part.
const benchLimit = 15 * time.Minute

// goBench runs benchmarks of a package and gives their numbers by name, without the -N suffix.
func goBench(ctx context.Context, pattern, pkg string, flags ...string) (map[string]measured, error) {
	ctx, cancel := context.WithTimeout(ctx, benchLimit)
	defer cancel()
	args := append([]string{"test", "-run", "^$", "-bench", pattern, "-count", strconv.Itoa(benchRuns), "-timeout", benchLimit.String()}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w\n%s", pattern, pkg, err, out)
	}
	return parseBench(out), nil
}

// parseBench gives the median of each number over the runs of each benchmark.
func parseBench(out []byte) map[string]measured {
	runs := map[string]map[string][]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := procs.ReplaceAllString(strings.TrimPrefix(f[0], "Benchmark"), "")
		if runs[name] == nil {
			runs[name] = map[string][]float64{}
		}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				runs[name][f[i+1]] = append(runs[name][f[i+1]], v)
			}
		}
	}
	all := map[string]measured{}
	for name, units := range runs {
		all[name] = measured{}
		for unit, values := range units {
			slices.Sort(values)
			all[name][unit] = values[len(values)/2]
		}
	}
	return all
}

// procs is what go test adds to a benchmark's name where GOMAXPROCS is not 1.
var procs = regexp.MustCompile(`-\d+$`)

// machine measures the state machine alone, beside one bare connection that inserts the same rows.
func (b *bench) machine(ctx context.Context) error {
	all, err := goBench(ctx, "^BenchmarkApply$", "./core/pg")
	if err != nil {
		return err
	}
	m := all["Apply"]
	if m["ratio-all-rows"] == 0 {
		return fmt.Errorf("the benchmark of the state machine gives no ratio: %v", all)
	}
	b.report.atLeast("state machine, rate over that of a bare pipelined insert of its rows", m["ratio-all-rows"], 0.9, "")
	b.report.note("state machine: %.0f entries/s in batches of 100; over a bare insert of the posts alone %.2f", m["entries/s"], m["ratio-posts"])
	b.report.note("state machine: the cache of rows is bounded to %d MiB", pg.DefaultCacheBytes>>20)
	return nil
}

// worst looks for the entry that costs a replica most, among those that were thought of and those that a
// generator makes.
func (b *bench) worst(ctx context.Context) error {
	all, err := goBench(ctx, "^BenchmarkWorstEntry$", "./core/replica", "-benchtime", "1x")
	if err != nil {
		return err
	}
	by := func(unit string) []string {
		return slices.SortedFunc(maps.Keys(all), func(x, y string) int { return cmp.Compare(all[y][unit], all[x][unit]) })
	}
	slow, large := by("ms"), by("MiB")
	if len(slow) < worstNamed {
		return fmt.Errorf("too few entries were measured: %v", slow)
	}
	b.report.within("worst entry, time to apply it", time.Duration(all[slow[0]]["ms"]*float64(time.Millisecond)), 200*time.Millisecond)
	b.report.atMost("worst entry, memory to apply it", all[large[0]]["MiB"], 64, " MiB")
	for i := range worstNamed {
		b.report.note("worst entries by time, %d: %s: %.1f ms; by memory: %s: %.1f MiB",
			i+1, entryName(slow[i]), all[slow[i]]["ms"], entryName(large[i]), all[large[i]]["MiB"])
	}
	return nil
}

// worstNamed is how many of the worst entries are named.
const worstNamed = 5

// entryName gives the name of a benchmark as it was before go test made one word of it.
func entryName(benchmark string) string {
	_, name, _ := strings.Cut(benchmark, "/")
	return strings.NewReplacer("_", " ", "/", ", ").Replace(name)
}

// abuse measures how much longer somebody waits while one account takes all that it can get.
func (b *bench) abuse(ctx context.Context) error {
	all, err := goBench(ctx, "^BenchmarkAbuse$", "./edge/api/areas", "-benchtime", "1x")
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("no benchmark of abuse")
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m, kind := all[name], entryName(name)
		b.report.atMost("one account floods with "+kind+", p99 of somebody else over quiet", m["ratio"], 2, "")
		b.report.note("abuse by %s: p99 %.1f ms quiet, %.1f ms loud; %.0f requests were served", kind, m["quiet-ms"], m["loud-ms"], m["served"])
	}
	return nil
}

// raft measures the log alone: three voters, fsync on, a state machine that does nothing.
func (b *bench) raft(ctx context.Context) error {
	all, err := goBench(ctx, "^BenchmarkCommit$/^voters=3$/^clients=(1|256)$", "./region")
	if err != nil {
		return err
	}
	one, ok1 := all["Commit/voters=3/clients=1"]
	many, ok2 := all["Commit/voters=3/clients=256"]
	if !ok1 || !ok2 {
		return fmt.Errorf("no benchmarks of 1 and 256 clients in %v", all)
	}
	b.report.within("raft, three voters, one client, commit", time.Duration(one["ns/op"]), 2*time.Millisecond)
	b.report.atLeast("raft, three voters, 256 clients, commits a second", 1e9/many["ns/op"], 15_000, "/s")
	b.report.note("raft: one client p99 %.1f ms; 256 clients p50 %.1f ms, p99 %.1f ms", one["p99-ms"], many["p50-ms"], many["p99-ms"])
	return nil
}
