package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// totals has the results of a run.
type totals struct {
	passed   int
	failures []string
	skips    []string
	notes    []string
	output   map[string]*bytes.Buffer // of tests that have not passed yet
	running  []string                 // packages under test
	doing    atomic.Value             // a string: what the step does now
}

func (t *totals) fail(what string) { t.failures = append(t.failures, what) }
func (t *totals) note(what string) { t.notes = append(t.notes, what) }

// print writes the totals and gives the exit code.
func (t *totals) print(took time.Duration) int {
	for _, n := range t.notes {
		fmt.Println("note: " + n)
	}
	for _, s := range t.skips {
		fmt.Println("skipped: " + s)
	}
	for _, f := range t.failures {
		fmt.Println("FAILED: " + f)
	}
	fmt.Printf("took %s\n", took.Round(time.Second))
	fmt.Printf("%d passed, %d failed, %d skipped\n", t.passed, len(t.failures), len(t.skips))
	if len(t.failures) > 0 {
		return 1
	}
	return 0
}

// exitCodeOnly passes the output through; only the exit code counts.
func (t *totals) exitCodeOnly(r io.Reader) { io.Copy(os.Stdout, r) }

// packageName matches the package lines of `go build -v`. Other lines are errors or downloads.
var packageName = regexp.MustCompile(`^[a-z0-9][\w.~/-]*$`)

// compiled counts the packages that a build compiles.
func (t *totals) compiled(r io.Reader) {
	n := 0
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if !packageName.MatchString(lines.Text()) {
			fmt.Println("   " + lines.Text())
			continue
		}
		n++
		t.doing.Store(fmt.Sprintf("on package %d, %s", n, lines.Text()))
	}
}

// event is one line of `go test -json`.
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64
}

// goTests counts tests and subtests. It prints one line for each package, and the output of failed tests.
func (t *totals) goTests(r io.Reader) {
	t.output = map[string]*bytes.Buffer{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil {
			t.goEvent(e)
		} else {
			os.Stdout.Write(line)
		}
		if err != nil {
			return
		}
	}
}

func (t *totals) goEvent(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "start":
		t.running = append(t.running, e.Package)
		t.doing.Store("on " + strings.Join(t.running, ", "))
	case "output", "build-output":
		if t.output[key] == nil {
			t.output[key] = &bytes.Buffer{}
		}
		t.output[key].WriteString(e.Output)
	case "pass":
		if e.Test != "" {
			t.passed++
		} else {
			t.ended(e.Package)
			fmt.Printf("   ok   %6.1fs %s\n", e.Elapsed, e.Package)
		}
		delete(t.output, key)
	case "skip":
		if e.Test != "" {
			t.skips = append(t.skips, key+": "+lastWords(t.output[key]))
		} else {
			t.ended(e.Package)
		}
		delete(t.output, key)
	case "fail", "build-fail":
		t.goFailure(key, e)
	}
}

func (t *totals) ended(pkg string) {
	t.running = slices.DeleteFunc(t.running, func(p string) bool { return p == pkg })
	t.doing.Store("on " + strings.Join(t.running, ", "))
}

// goFailure counts a failed test. A failed package is counted only if none of its tests failed: it did not
// build, or it ended too early.
func (t *totals) goFailure(key string, e event) {
	if e.Action == "build-fail" {
		os.Stdout.Write(said(t.output[" "]))
		return
	}
	os.Stdout.Write(said(t.output[key]))
	if e.Test != "" {
		t.fail(key)
		return
	}
	t.ended(e.Package)
	fmt.Printf("   FAIL %6.1fs %s\n", e.Elapsed, e.Package)
	for _, f := range t.failures {
		if strings.HasPrefix(f, e.Package+" ") {
			return
		}
	}
	t.fail(e.Package + " (the package itself)")
}

func said(b *bytes.Buffer) []byte {
	if b == nil {
		return nil
	}
	return b.Bytes()
}

// lastWords gives the reason of a skipped test: its last line before the one that go test adds.
func lastWords(b *bytes.Buffer) string {
	reason := "no reason given"
	for line := range strings.Lines(string(said(b))) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--- ") && !strings.HasPrefix(line, "=== ") {
			reason = line
		}
	}
	return reason
}

var tapTotal = regexp.MustCompile(`^# (pass|fail|skipped|cancelled) (\d+)$`)

// tap counts a Node test run and passes it on.
func (t *totals) tap(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Println("   " + lines.Text())
		line := strings.TrimSpace(lines.Text())
		if name, bad := strings.CutPrefix(line, "not ok "); bad {
			t.fail("driver test " + name)
		}
		if m := tapTotal.FindStringSubmatch(line); m != nil && m[1] == "pass" {
			n, _ := strconv.Atoi(m[2])
			t.passed += n
		}
		if _, reason, ok := strings.Cut(line, "# SKIP"); ok {
			t.skips = append(t.skips, "driver test:"+reason)
		}
	}
}
