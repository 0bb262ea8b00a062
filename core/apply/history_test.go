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

var record = flag.Bool("record", false, "record the history of the current log version anew: never once that version has been in a release")

// digestEvery is how many entries lie between two digests that are kept.
const digestEvery = 1000

// histories is where the recorded logs are: vN.log.gz with the entries, vN.txt with the digests.
const histories = "testdata/history"

// A recorded log of every version comes to the digests that it came to when it was recorded. What
// changes a decision, or the order of two writes, of an entry that may stand in a log makes this
// fail: replicas of two versions of the program would part.
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
	c := applytest.NewChaos(uint64(core.LogVersion))
	entries := c.People()
	for len(entries) < 5*digestEvery {
		entries = append(entries, c.Next())
	}
	covered(t, c, entries)
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

// covered fails the test when a command was never accepted: the history would say nothing of it.
func covered(t *testing.T, c *applytest.Chaos, entries []core.Entry) {
	t.Helper()
	accepted, refused := map[reflect.Type]int{}, 0
	for _, e := range entries {
		_, cmd, err := command.Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if command.DecodeOutcome(c.Model.Receipts[e.Index].Outcome, nil) == nil {
			accepted[reflect.TypeOf(cmd).Elem()]++
		} else {
			refused++
		}
	}
	for n, typ := range command.Types() {
		if accepted[typ] == 0 && typ != reflect.TypeFor[command.RaiseVersion]() {
			t.Errorf("command %d, %v, was never accepted", n, typ)
		}
	}
	t.Logf("%d entries, %d refused", len(entries), refused)
}

// The generator still meets every command, so that the next recording does.
func TestHistory_CoversEveryCommand(t *testing.T) {
	c := applytest.NewChaos(uint64(core.LogVersion))
	entries := c.People()
	for len(entries) < 5*digestEvery {
		entries = append(entries, c.Next())
	}
	covered(t, c, entries)
}
