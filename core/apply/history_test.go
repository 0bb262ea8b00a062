package apply_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
)

var record = flag.Bool("record", false, "record the history of the current log version again; never after that version has been released")

// digestEvery is how many entries lie between two digests that are kept.
const digestEvery = 1000

// histories is where the recorded logs are: vN.log.gz with the entries, vN.txt with the digests.
const histories = "testdata/history"

// Applying the recorded log of every version gives the digests that it gave when it was recorded. A
// program that decides an old entry differently, or writes its rows in another order, fails here: its
// replicas would diverge from those of other versions of the program.
func TestHistory_SameDigestsForEver(t *testing.T) {
	if *record {
		recordHistory(t)
	}
	logs, err := filepath.Glob(histories + "/v*.log.gz")
	if err != nil || len(logs) != core.LogVersion {
		t.Fatalf("%d recorded histories for %d versions of the log: %v", len(logs), core.LogVersion, err)
	}
	for _, file := range logs {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, ".log.gz") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			entries, err := applytest.ReadHistory(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), digests(entries)); d != "" {
				t.Errorf("the history comes to other digests (-recorded +now):\n%s", d)
			}
		})
	}
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

// recordHistory writes a random run over every command.
func recordHistory(t *testing.T) {
	entries := coveringRun(t)
	packed, err := applytest.PackHistory(entries)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s/v%d", histories, core.LogVersion)
	if err := os.MkdirAll(histories, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{name + ".log.gz": packed, name + ".txt": []byte(digests(entries))} {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// coveringRun gives the first of a few random runs in which every command is accepted at least once:
// the history would not test a command that is always refused.
func coveringRun(t *testing.T) []core.Entry {
	t.Helper()
	var missing []string
	for try := range uint64(20) {
		c := applytest.NewChaos(core.LogVersion*100 + try)
		entries := c.People()
		for len(entries) < 5*digestEvery {
			entries = append(entries, c.Next())
		}
		if missing = neverAccepted(t, c, entries); len(missing) == 0 {
			return entries
		}
	}
	t.Fatalf("no run accepts every command; the last left out %v", missing)
	return nil
}

func neverAccepted(t *testing.T, c *applytest.Chaos, entries []core.Entry) (out []string) {
	t.Helper()
	accepted := map[reflect.Type]bool{}
	for _, e := range entries {
		_, cmd, err := command.Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if command.DecodeOutcome(c.Model.Receipts[e.Index].Outcome, nil) == nil {
			accepted[reflect.TypeOf(cmd).Elem()] = true
		}
	}
	for _, typ := range command.Types() {
		if !accepted[typ] && typ != reflect.TypeFor[command.RaiseVersion]() {
			out = append(out, typ.Name())
		}
	}
	return out
}

// The generator makes every command, so that the next recording has them all.
func TestHistory_CoversEveryCommand(t *testing.T) { coveringRun(t) }
