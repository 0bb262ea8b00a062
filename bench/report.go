package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// line is one number with its target.
type line struct{ what, got, target, verdict string }

// report collects the lines of a run.
type report struct {
	machine string
	lines   []line
	failed  int
	notes   []string
}

const (
	good = "ok"
	miss = "MISS"
)

// add records and prints one number.
func (r *report) add(what, got, target string, ok bool) {
	verdict := good
	if !ok {
		verdict = miss
		r.failed++
	}
	l := line{what, got, target, verdict}
	r.lines = append(r.lines, l)
	fmt.Printf("  %-62s %14s   %-12s %s\n", l.what, l.got, l.target, l.verdict)
}

// atLeast records a number that should be large.
func (r *report) atLeast(what string, got, target float64, unit string) {
	r.add(what, number(got)+unit, "≥ "+number(target)+unit, got >= target)
}

// atMost records a number that should be small; zero or less was not measured.
func (r *report) atMost(what string, got, target float64, unit string) {
	r.add(what, number(got)+unit, "≤ "+number(target)+unit, got > 0 && got <= target)
}

// within records a time that should be short; a zero time was not measured.
func (r *report) within(what string, got, target time.Duration) {
	r.add(what, milliseconds(got), "≤ "+milliseconds(target), got != 0 && got <= target)
}

// none records a count that should be zero.
func (r *report) none(what string, n int) { r.add(what, fmt.Sprint(n), "0", n == 0) }

func (r *report) note(format string, args ...any) {
	n := fmt.Sprintf(format, args...)
	r.notes = append(r.notes, n)
	fmt.Println("  " + n)
}

// broken records a part that could not be measured.
func (r *report) broken(what string, err error) {
	r.failed++
	r.lines = append(r.lines, line{what, "not measured", "", miss})
	r.note("%s: %v", what, err)
}

// conclude prints the verdict and gives the exit code.
func (r *report) conclude() int {
	fmt.Printf("\n%d numbers, %d missed their target\n", len(r.lines), r.failed)
	if r.failed > 0 {
		return 1
	}
	return 0
}

// keep writes the report as a page that is named after the day and the machine.
func (r *report) keep(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "machine"
	}
	host = regexp.MustCompile(`[^A-Za-z0-9-]+`).ReplaceAllString(host, "-")
	path := filepath.Join(dir, time.Now().Format("2006-01-02")+"-"+host+".md")
	if err := os.WriteFile(path, []byte(r.page()), 0o644); err != nil {
		return err
	}
	fmt.Println("\nkept in", path)
	return nil
}

func (r *report) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\nThe load runs on the same machine. Written by `make bench`.\n\n", time.Now().Format("2006-01-02 15:04 MST"), r.machine)
	b.WriteString("| what | measured | target | |\n|---|---:|---:|---|\n")
	for _, l := range r.lines {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", l.what, l.got, l.target, l.verdict)
	}
	if len(r.notes) > 0 {
		b.WriteString("\nNotes:\n\n")
	}
	for _, n := range r.notes {
		fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(n, "\n", " "))
	}
	return b.String()
}

func number(f float64) string {
	if f < 100 {
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.0f", f)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
