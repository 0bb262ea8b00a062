package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
)

const (
	forP99        = 200  // requests; the slowest two decide
	atMostOfQuiet = 2.0  // p99 while somebody abuses, over that of quiet
	maxSteady     = 1.10 // memory of the process that is not killed, late over early
	maxThirds     = 1.25 // memory of the others at equal age, late over early
	judgeMemory   = 30 * time.Minute
)

// page is the result as a page.
type page struct {
	strings.Builder
	failed int
}

func (p *page) promise(what, got, target string, kept bool) {
	verdict := "ok"
	if !kept {
		verdict = "MISS"
		p.failed++
	}
	fmt.Fprintf(p, "| %s | %s | %s | %s |\n", what, got, target, verdict)
}

func (p *page) none(what string, n int) { p.promise(what, fmt.Sprint(n), "0", n == 0) }

func (p *page) say(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// report writes the page and counts the promises that were broken.
func (e *endurance) report(machine string) (string, int) {
	p := &page{}
	took := time.Since(e.began).Round(time.Minute)
	p.say("# %s: %s of mixed load\n\n%s\n", e.began.Format("2006-01-02 15:04 MST"), took, machine)
	p.say("`nearside demo --latency %s`: three home nodes and an edge in three regions, each with a PostgreSQL. The load runs on the same machine. Written by `make endure`.\n", e.latency)
	p.say("| what | measured | target | |\n|---|---:|---:|---|")
	e.reportHistory(p)
	e.reportWaits(p)
	e.reportMemory(p)
	e.reportTables(p)
	return p.String(), p.failed
}

func (e *endurance) reportHistory(p *page) {
	var writes, acked int
	for _, list := range e.people.writes {
		for _, w := range list {
			writes++
			if !w.Acked.IsZero() {
				acked++
			}
		}
	}
	kills := map[string]int{}
	for _, b := range e.blows {
		kills[b.what]++
	}
	p.promise("processes killed with -9", fmt.Sprintf("%d leaders, %d other home nodes, %d edges", kills["leader"], kills["follower"], kills["edge"]),
		"one each minute", len(e.blows) == e.minutes)
	p.promise("posts acknowledged", fmt.Sprintf("%d of %d", acked, writes), "all", acked == writes)
	p.none("acknowledged posts lost, doubled, in another order, or different between edges", len(e.findings))
	p.none(fmt.Sprintf("of %d acknowledged files lost or changed", len(e.people.files)), len(e.lostFiles))
	p.none("tables that differ between the six replicas", len(e.different))
	p.none("what is somebody's and was changed by the hostile edge", len(e.changed))
	p.none("processes that ended by themselves", len(e.fallen))
	p.none("requests of people that were not served within a minute", len(e.people.gaveUp))
	p.none("requests of people that were not begun, because too many were under way", e.skipped)
	refused, closed := 0, 0
	for _, r := range e.people.refused {
		if e.clock.at(r.at).phase == quiet || e.clock.at(r.at).phase == abused {
			refused++
		}
	}
	for _, at := range e.people.dropped {
		if e.clock.at(at).phase == quiet || e.clock.at(at).phase == abused {
			closed++
		}
	}
	p.none("requests of people refused while nothing was struck", refused)
	p.none("sockets of people closed while nothing was struck", closed)
	p.none("messages that came twice on one socket", e.people.repeated)
}

// waits are the times that people waited, sorted, by kind and phase.
func (e *endurance) waits() map[string]*[phases][]time.Duration {
	all := map[string]*[phases][]time.Duration{}
	for _, s := range e.people.samples {
		if all[s.kind] == nil {
			all[s.kind] = &[phases][]time.Duration{}
		}
		phase := e.clock.of(s.began, s.ended).phase
		all[s.kind][phase] = append(all[s.kind][phase], s.ended.Sub(s.began))
	}
	for _, by := range all {
		for i := range by {
			slices.Sort(by[i])
		}
	}
	return all
}

func p99(sorted []time.Duration) time.Duration { return load.Quantile(sorted, .99) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

func (e *endurance) reportWaits(p *page) {
	waits := e.waits()
	for _, name := range kindNames() {
		by := waits[name]
		if by == nil || len(by[quiet]) == 0 || len(by[abused]) == 0 {
			p.promise(name+", p99 while abused", "not measured", "", false)
			continue
		}
		r := ratio(p99(by[abused]), p99(by[quiet]))
		what := name + ", p99 while abused over that of quiet"
		got, target := fmt.Sprintf("%.2f (%s, %s)", r, ms(p99(by[abused])), ms(p99(by[quiet]))), fmt.Sprintf("≤ %.0f", atMostOfQuiet)
		if min(len(by[quiet]), len(by[abused])) < forP99 {
			p.say("| %s | %s | %s | too few to judge |", what, got, target)
			continue
		}
		p.promise(what, got, target, r <= atMostOfQuiet)
	}
}

func kindNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return append(names, event)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

// reportMemory compares processes at equal age, because all but one are killed again and again. Whether a home node
// leads makes a difference too, so those are taken together, and only a large growth means something.
func (e *endurance) reportMemory(p *page) {
	edges, err := e.w.Edges()
	if err != nil {
		p.promise("memory", err.Error(), "", false)
		return
	}
	var spared, home, others []reading
	for _, name := range e.nodes() {
		for _, r := range e.observer.of(name) {
			old := r.at.Sub(e.began) >= warmUp
			grown := old && r.age >= youngest && r.age <= oldest
			switch {
			case name == e.killer.spare && old:
				spared = append(spared, r)
			case name == e.killer.spare || !grown:
			case slices.ContainsFunc(edges, func(n world.Node) bool { return n.Name == name }):
				others = append(others, r)
			default:
				home = append(home, r)
			}
		}
	}
	e.compareThirds(p, "memory of "+e.killer.spare+", which is never killed", maxSteady, spared)
	age := fmt.Sprintf(" at an age of %s to %s", youngest, oldest)
	e.compareThirds(p, "memory of the home nodes"+age, maxThirds, home)
	e.compareThirds(p, "memory of the edges that are killed"+age, maxThirds, others)
}

// compareThirds compares the medians of the first and the last third: floods make peaks, which mean nothing.
func (e *endurance) compareThirds(p *page, what string, target float64, readings []reading) {
	slices.SortFunc(readings, func(x, y reading) int { return x.at.Compare(y.at) })
	first, last := thirds(readings)
	what += fmt.Sprintf(", median of the last third over that of the first third after %s", warmUp)
	got := fmt.Sprintf("%.2f (%s, %s; %d samples)", float64(last)/float64(max(first, 1)), mib(last), mib(first), len(readings))
	if time.Since(e.began) < judgeMemory {
		p.say("| %s | %s | ≤ %.2f | too short to judge |", what, got, target)
		return
	}
	p.promise(what, got, fmt.Sprintf("≤ %.2f", target), first > 0 && float64(last) <= target*float64(first))
}

// Processes are compared while they are so old.
const (
	youngest = 20 * time.Second
	oldest   = 100 * time.Second
)

func (e *endurance) nodes() (names []string) {
	e.observer.mu.Lock()
	defer e.observer.mu.Unlock()
	for _, r := range e.observer.readings {
		if !slices.Contains(names, r.node) {
			names = append(names, r.node)
		}
	}
	slices.Sort(names)
	return names
}

func (e *endurance) reportTables(p *page) {
	waits := e.waits()
	p.say("\nWhat people waited, in ms, p50 / p99 / longest. A request counts for the part in which it began, and as struck if it was under way when a process was killed or began before that process worked again.\n")
	p.say("| | quiet | abused | struck |\n|---|---:|---:|---:|")
	for _, name := range kindNames() {
		if by := waits[name]; by != nil {
			p.say("| %s | %s | %s | %s |", name, three(by[quiet]), three(by[abused]), three(by[struck]))
		}
	}
	e.reportFloods(p)
	e.reportBlows(p)
	e.reportProcesses(p)
	c := e.hostile.count
	p.say("\nThe hostile edge made %d proposals in %d days of two people: %d accepted (for its own users), %d refused, %d not answered. It sent garbage on %d streams and asked %d times for the whole log.",
		c.proposed, e.hostile.day, c.accepted, c.refused, c.unanswered, c.garbage, c.logs)
	for _, list := range [][]string{e.findings, e.lostFiles, e.different, e.changed, e.fallen, e.people.gaveUp} {
		for _, f := range list[:min(len(list), 20)] {
			p.say("- %s", f)
		}
	}
}

func three(sorted []time.Duration) string {
	if len(sorted) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f / %.1f / %.0f (%d)", msOf(load.Quantile(sorted, .5)), msOf(p99(sorted)), msOf(sorted[len(sorted)-1]), len(sorted))
}

func msOf(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// reportFloods says for each flood what it was answered and what others waited meanwhile.
func (e *endurance) reportFloods(p *page) {
	byFlood := map[string]map[string][]time.Duration{}
	for _, s := range e.people.samples {
		if at := e.clock.of(s.began, s.ended); at.phase == abused {
			if byFlood[at.flood] == nil {
				byFlood[at.flood] = map[string][]time.Duration{}
			}
			byFlood[at.flood][s.kind] = append(byFlood[at.flood][s.kind], s.ended.Sub(s.began))
		}
	}
	p.say("\nThe abusive account, with %d connections:\n\n| what it floods with | answers | p99 of others: post | page of a channel | sign in |\n|---|---|---:|---:|---:|", abuseAtOnce)
	for _, f := range floods {
		if byFlood[f.name] == nil {
			continue
		}
		var cells []string
		for _, name := range []string{"post", "page of a channel", "sign in"} {
			sorted := byFlood[f.name][name]
			slices.Sort(sorted)
			cells = append(cells, ms(p99(sorted)))
		}
		p.say("| %s | %s | %s |", f.name, counted(e.abuser.answers[f.name]), strings.Join(cells, " | "))
	}
}

func counted(all map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf("%d × %s", all[name], name))
	}
	return cmp.Or(strings.Join(parts, ", "), "–")
}

func (e *endurance) reportBlows(p *page) {
	back, resumed := map[string][]time.Duration{}, map[string][]time.Duration{}
	for _, b := range e.blows {
		back[b.what] = append(back[b.what], b.back)
		var first time.Time
		for _, list := range e.people.writes {
			for _, w := range list {
				if w.Sent.After(b.at) && !w.Acked.IsZero() && (first.IsZero() || w.Acked.Before(first)) {
					first = w.Acked
				}
			}
		}
		if !first.IsZero() {
			resumed[b.what] = append(resumed[b.what], first.Sub(b.at))
		}
	}
	p.say("\nKills, in ms, p50 / p99 / longest:\n\n| killed | first write that was sent after it is accepted | ready again and caught up |\n|---|---:|---:|")
	for _, what := range slices.Sorted(maps.Keys(back)) {
		slices.Sort(back[what])
		slices.Sort(resumed[what])
		p.say("| %s | %s | %s |", what, three(resumed[what]), three(back[what]))
	}
	by := map[string]map[string]int{}
	for _, r := range e.people.refused {
		name := e.clock.at(r.at).phase.String()
		if by[name] == nil {
			by[name] = map[string]int{}
		}
		by[name][r.what]++
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		p.say("\nTries of people that were refused and made again, %s: %s.", name, counted(by[name]))
	}
}

func (e *endurance) reportProcesses(p *page) {
	p.say("\n| process | memory first | last | most | in use on the heap, last | most | goroutines most | open files most | lives |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, name := range e.nodes() {
		all := e.observer.of(name)
		var most int64
		var goroutines, live float64
		files, lives := 0, map[int]bool{}
		for _, r := range all {
			most, live, goroutines, files = max(most, r.resident), max(live, r.live), max(goroutines, r.goroutines), max(files, r.files)
			lives[r.pid] = true
		}
		p.say("| %s | %s | %s | %s | %s | %s | %.0f | %d | %d |", name, mib(all[0].resident), mib(all[len(all)-1].resident), mib(most),
			mib(int64(all[len(all)-1].live)), mib(int64(live)), goroutines, files, len(lives))
	}
	e.reportSpared(p)
	if d := e.observer.disk; len(d) > 0 {
		p.say("\nThe data of all six nodes took %s after the first minute and %s at the end.", mib(d[0]), mib(d[len(d)-1]))
	}
}

// reportSpared gives the memory of the process that is not killed over time.
func (e *endurance) reportSpared(p *page) {
	const step = 5 * time.Minute
	var resident, live []string
	all := e.observer.of(e.killer.spare)
	for from := e.began; len(all) > 0; from = from.Add(step) {
		n := 0
		for n < len(all) && all[n].at.Before(from.Add(step)) {
			n++
		}
		part := slices.Clone(all[:n])
		if all = all[n:]; n == 0 {
			continue
		}
		slices.SortFunc(part, func(x, y reading) int { return cmp.Compare(x.resident, y.resident) })
		resident = append(resident, fmt.Sprintf("%.0f", float64(part[n/2].resident)/(1<<20)))
		slices.SortFunc(part, func(x, y reading) int { return cmp.Compare(x.live, y.live) })
		live = append(live, fmt.Sprintf("%.0f", part[n/2].live/(1<<20)))
	}
	p.say("\n%s in parts of %s, medians in MiB: resident %s; in use on the heap %s. After %s it grows by %+.1f %% in an hour, by a line through all samples.",
		e.killer.spare, step, strings.Join(resident, ", "), strings.Join(live, ", "), warmUp, 100*growth(slices.DeleteFunc(e.observer.of(e.killer.spare), func(r reading) bool {
			return r.at.Sub(e.began) < warmUp
		})))
}

// say prints how a minute went.
func (e *endurance) say(i int) {
	e.people.mu.Lock()
	samples, refused, gaveUp := len(e.people.samples), len(e.people.refused), len(e.people.gaveUp)
	waits := e.waits()
	e.people.mu.Unlock()
	b := e.blows[len(e.blows)-1]
	fmt.Printf("%3d of %d: %d requests, %d refused, %d given up; killed %s %s, back after %s;", i+1, e.minutes, samples, refused, gaveUp, b.what, b.node, b.back.Round(100*time.Millisecond))
	for _, name := range []string{"post", "page of a channel"} {
		if by := waits[name]; by != nil {
			fmt.Printf(" %s p99 %s, abused %s;", name, ms(p99(by[quiet])), ms(p99(by[abused])))
		}
	}
	if all := e.observer.of(e.killer.spare); len(all) > 0 {
		last := all[len(all)-1]
		fmt.Printf(" %s has %s, %s in use", e.killer.spare, mib(last.resident), mib(int64(last.live)))
	}
	fmt.Println()
}
