package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// measured are the numbers of one benchmark by unit, as `go test -bench` prints them.
type measured map[string]float64

// goBench runs benchmarks of a package and gives their numbers by name, without the -N suffix.
func goBench(ctx context.Context, pattern, pkg string) (map[string]measured, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w\n%s", pattern, pkg, err, out)
	}
	return parseBench(out), nil
}

func parseBench(out []byte) map[string]measured {
	all := map[string]measured{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(f[0], "Benchmark")
		if at := strings.LastIndexByte(name, '-'); at > 0 {
			if _, err := strconv.Atoi(name[at+1:]); err == nil {
				name = name[:at]
			}
		}
		m := measured{}
		for i := 2; i+1 < len(f); i += 2 {
			m[f[i+1]], _ = strconv.ParseFloat(f[i], 64)
		}
		all[name] = m
	}
	return all
}

// machine measures the state machine alone, beside one bare connection that inserts the same rows.
func (b *bench) machine(ctx context.Context) error {
	all, err := goBench(ctx, "^BenchmarkApply$", "./core/replica")
	if err != nil {
		return err
	}
	for name, m := range all {
		if ratio, ok := m["ratio"]; ok {
			b.report.atLeast("state machine, rate over that of a bare pipelined insert", ratio, 0.5, "")
		}
		if rate, ok := m["entries/s"]; ok {
			b.report.note("state machine, %s: %.0f entries/s", name, rate)
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("no benchmark of the state machine in core/replica")
	}
	return nil
}

// raft measures the log alone: three voters, fsync on, a state machine that does nothing.
func (b *bench) raft(ctx context.Context) error {
	all, err := goBench(ctx, "^BenchmarkCommit$", "./region")
	if err != nil {
		return err
	}
	one, ok1 := all["Commit/clients=1"]
	many, ok2 := all["Commit/clients=256"]
	if !ok1 || !ok2 {
		return fmt.Errorf("no benchmarks of 1 and 256 clients in %v", all)
	}
	b.report.within("raft, three voters, one client, commit", time.Duration(one["ns/op"]), 2*time.Millisecond)
	b.report.atLeast("raft, three voters, 256 clients, commits a second", 1e9/many["ns/op"], 15_000, "/s")
	return nil
}
