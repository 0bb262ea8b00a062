package nearside_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// asvs says for each section of OWASP ASVS 5.0.0 how many of its requirements are of level 1 or 2. In every section
// these have the lowest numbers.
var asvs = map[string]int{
	"1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2,
	"2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1,
	"3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2,
	"4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4,
	"5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3,
	"6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
	"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
	"8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
	"9.1": 3, "9.2": 4,
	"10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3,
	"11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1,
	"12.1": 3, "12.2": 2, "12.3": 4,
	"13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5,
	"14.1": 2, "14.2": 4, "14.3": 3,
	"15.1": 3, "15.2": 3, "15.3": 7,
	"16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3,
	"17.1": 1, "17.2": 4, "17.3": 2,
}

// securityRow is a row of the table in SECURITY.md.
type securityRow struct {
	ids         []string
	state, says string
	tests       []string
}

var (
	requirement = regexp.MustCompile(`^(\d+\.\d+)\.(\d+)(?:–(\d+))?$`)
	testName    = regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	testFunc    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// securityRows reads the table.
func securityRows(doc string) (rows []securityRow, err error) {
	for line := range strings.Lines(doc) {
		cells := strings.Split(strings.TrimPrefix(strings.TrimSuffix(strings.TrimSpace(line), "|"), "|"), "|")
		if len(cells) != 4 || !requirement.MatchString(strings.TrimSpace(strings.Split(cells[0], ",")[0])) {
			continue
		}
		r := securityRow{state: strings.TrimSpace(cells[1]), says: strings.TrimSpace(cells[2])}
		for _, m := range testName.FindAllStringSubmatch(cells[3], -1) {
			r.tests = append(r.tests, m[1])
		}
		for item := range strings.SplitSeq(cells[0], ",") {
			m := requirement.FindStringSubmatch(strings.TrimSpace(item))
			if m == nil {
				return nil, fmt.Errorf("%q is no requirement", item)
			}
			from, _ := strconv.Atoi(m[2]) // digits by the pattern
			to := from
			if m[3] != "" {
				to, _ = strconv.Atoi(m[3])
			}
			for n := from; n <= to; n++ {
				r.ids = append(r.ids, fmt.Sprintf("%s.%d", m[1], n))
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// wrongSecurity gives what is wrong with the table: a requirement without a row or with two, a test that does not
// exist, a promise without a test.
func wrongSecurity(rows []securityRow, tests map[string]bool) (wrong []string) {
	seen := map[string]int{}
	for _, r := range rows {
		for _, id := range r.ids {
			seen[id]++
		}
		switch {
		case !slices.Contains([]string{"met", "partly", "open", "none"}, r.state):
			wrong = append(wrong, fmt.Sprintf("%s: %q is no state", r.ids[0], r.state))
		case r.says == "":
			wrong = append(wrong, r.ids[0]+" says nothing")
		case r.state == "met" && len(r.tests) == 0:
			wrong = append(wrong, r.ids[0]+" is met, but names no test")
		}
		for _, name := range r.tests {
			if !tests[name] {
				wrong = append(wrong, fmt.Sprintf("%s: there is no %s", r.ids[0], name))
			}
		}
	}
	for section, n := range asvs {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprintf("%s.%d", section, i); seen[id] != 1 {
				wrong = append(wrong, fmt.Sprintf("%s is in %d rows, want 1", id, seen[id]))
			}
			delete(seen, fmt.Sprintf("%s.%d", section, i))
		}
	}
	for id := range seen {
		wrong = append(wrong, id+" is no requirement of level 1 or 2")
	}
	slices.Sort(wrong)
	return wrong
}

// The table of SECURITY.md has every requirement once, and names only tests that there are.
func TestSecurity_Table(t *testing.T) {
	tests := map[string]bool{}
	for _, name := range files(t, "_test.go") {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllSubmatch(src, -1) {
			tests[string(m[1])] = true
		}
	}
	doc, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := securityRows(string(doc))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrongSecurity(rows, tests) {
		t.Error(w)
	}

	// The check itself can fail.
	rows[0].tests = []string{"TestOfNothing"}
	rows[1].ids = rows[1].ids[1:]
	if got := wrongSecurity(rows, tests); len(got) < 2 {
		t.Errorf("a wrong table has only these faults: %v", got)
	}
}
