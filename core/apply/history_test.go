package apply_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
)

var record = flag.Bool("record", false, "record the histories that are missing")

// digestEvery is how many entries lie between two digests that are kept.
const digestEvery = 1000

// histories is where the recorded logs are: vN.log.gz with the entries of version N of the log, vN.txt with
// the digests, and vN-noun.log.gz and vN-noun.txt for each noun that was added later.
const histories = "testdata/history"

// recorded gives the name of a history, and the nouns that it has of applytest.Nouns.
func recorded() map[string][]applytest.Noun {
	out := map[string][]applytest.Noun{fmt.Sprintf("v%d", core.LogVersion): nil}
	for _, n := range applytest.Nouns {
		out[fmt.Sprintf("v%d-%s", core.LogVersion, n.Name)] = []applytest.Noun{n}
	}
	return out
}

// Applying the recorded logs gives the digests that they gave when they were recorded. A program that
// decides an old entry differently, or writes its rows in another order, fails here: its replicas would
// diverge from those of other versions of the program.
func TestHistory_SameDigestsForEver(t *testing.T) {
	if *record {
		recordHistories(t)
	}
	logs, err := filepath.Glob(histories + "/v*.log.gz")
	if err != nil {
		t.Fatal(err)
	}
	for name := range recorded() {
		if !slices.Contains(logs, fmt.Sprintf("%s/%s.log.gz", histories, name)) {
			t.Errorf("%s is not recorded: run this test with -record", name)
		}
	}
	for _, file := range logs {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, ".log.gz") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), digests(read(t, file))); d != "" {
				t.Errorf("the history comes to other digests (-recorded +now):\n%s", d)
			}
		})
	}
}

// Every command is accepted somewhere in the recorded histories: they would not test one that is always refused.
func TestHistory_CoversEveryCommand(t *testing.T) {
	if missing := missing(t); len(missing) > 0 {
		t.Errorf("no recorded history accepts %v", missing)
	}
}

// missing gives the commands that no recorded history accepts, and none of the given entries.
func missing(t *testing.T, more ...core.Entry) []string {
	t.Helper()
	logs, err := filepath.Glob(histories + "/v*.log.gz")
	if err != nil {
		t.Fatal(err)
	}
	seen := accepted(t, more)
	for _, file := range logs {
		maps.Copy(seen, accepted(t, read(t, file)))
	}
	var out []string
	for _, typ := range command.Types() {
		if !seen[typ] && typ != reflect.TypeFor[command.RaiseVersion]() {
			out = append(out, typ.Name())
		}
	}
	return out
}

// accepted gives the types of the commands that are accepted.
func accepted(t *testing.T, entries []core.Entry) map[reflect.Type]bool {
	t.Helper()
	out := map[reflect.Type]bool{}
	m := applytest.NewModel()
	for _, e := range entries {
		m.Take(e)
		_, cmd, err := command.Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if command.DecodeOutcome(m.Receipts[e.Index].Outcome, nil) == nil {
			out[reflect.TypeOf(cmd).Elem()] = true
		}
	}
	return out
}

func read(t *testing.T, file string) []core.Entry {
	t.Helper()
	entries, err := applytest.ReadHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// digests applies entries to an empty state and gives the digest at every thousandth and at the end.
func digests(entries []core.Entry) string {
	var out strings.Builder
	m := applytest.NewModel()
	for i, e := range entries {
		m.Take(e)
		if (i+1)%digestEvery == 0 || i+1 == len(entries) {
			fmt.Fprintf(&out, "%d %v\n", i+1, m.Digest)
		}
	}
	return out.String()
}

// recordHistories writes a random run for each history that is missing.
func recordHistories(t *testing.T) {
	t.Helper()
	for name, nouns := range recorded() {
		name = histories + "/" + name
		if _, err := os.Stat(name + ".log.gz"); err == nil {
			continue
		}
		entries := coveringRun(t, nouns)
		packed, err := applytest.PackHistory(entries)
		if err != nil {
			t.Fatal(err)
		}
		for file, data := range map[string][]byte{name + ".log.gz": packed, name + ".txt": []byte(digests(entries))} {
			if err := os.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// coveringRun gives, of a few random runs, the one after which the fewest commands are missing in the
// recorded histories.
func coveringRun(t *testing.T, nouns []applytest.Noun) (best []core.Entry) {
	t.Helper()
	fewest := -1
	for try := range uint64(20) {
		c := applytest.NewChaosOf(core.LogVersion*100+try, nouns)
		entries := c.People()
		for len(entries) < 5*digestEvery {
			entries = append(entries, c.Next())
		}
		if n := len(missing(t, entries...)); fewest < 0 || n < fewest {
			best, fewest = entries, n
		}
	}
	return best
}
