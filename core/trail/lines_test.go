package trail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/trail"
)

// file is a file of lines, and the trail that it is made from.
type file struct {
	*testing.T
	dir   string
	audit []core.Audit
	max   int64
}

func (f *file) path(more string) string { return filepath.Join(f.dir, "audit.jsonl"+more) }

func (f *file) add(n int) {
	for range n {
		f.audit = append(f.audit, core.Audit{Number: int64(len(f.audit)) + 1, Kind: core.AuditDeed, Action: "patch_user", Object: "<b>", Times: 1})
	}
}

// open begins to write, as a node does at its start.
func (f *file) open() *trail.Lines {
	f.Helper()
	l, err := trail.NewLines(trail.LinesConfig{
		Path: f.path(""), Place: filepath.Join(f.dir, "place"), MaxBytes: f.max,
		Changed: func() core.Position { return core.Position{Index: 1} },
		Last:    func(context.Context) (int64, error) { return int64(len(f.audit)), nil },
		After: func(_ context.Context, n int64, limit int) ([]core.Audit, error) {
			return f.audit[n:min(int(n)+limit, len(f.audit))], nil
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	return l
}

func (f *file) write(l *trail.Lines) {
	f.Helper()
	if err := l.Write(f.Context()); err != nil {
		f.Fatal(err)
	}
}

// numbers gives the numbers of the audits in files, the oldest first.
func (f *file) numbers(names ...string) (out []int64) {
	f.Helper()
	for _, name := range names {
		raw, err := os.ReadFile(f.path(name))
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(raw) {
			var a core.Audit
			if err := json.Unmarshal(line, &a); err != nil {
				f.Fatalf("%q: %v", line, err)
			}
			out = append(out, a.Number)
		}
	}
	return out
}

// once fails unless the files have every audit once and in order.
func (f *file) once(names ...string) {
	f.Helper()
	got := f.numbers(names...)
	for i, n := range got {
		if n != int64(i)+1 {
			f.Fatalf("the files have %v", got)
		}
	}
	if len(got) != len(f.audit) {
		f.Errorf("the files have %d audits of %d", len(got), len(f.audit))
	}
}

// Each audit is in the file once, whatever happened to the process and to the end of the file.
func TestLines_Once(t *testing.T) {
	f := &file{T: t, dir: t.TempDir()}
	f.add(1200)
	f.write(f.open())
	f.once("")
	f.add(3)
	f.write(f.open()) // a restart
	f.once("")
	raw, err := os.ReadFile(f.path(""))
	if err != nil || !strings.Contains(string(raw), "<b>") {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path(""), raw[:len(raw)-10], 0o600); err != nil { // the last line is torn
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "place"), []byte("1201\n"), 0o600); err != nil { // and the place is older
		t.Fatal(err)
	}
	f.add(1)
	f.write(f.open())
	f.once("")
	l := f.open()
	f.audit = f.audit[:10] // the history was restored
	f.write(l)
	f.add(1)
	f.write(l)
	if got := f.numbers(""); got[len(got)-1] != 11 || len(got) != 1205 {
		t.Errorf("after the history was restored: %d audits, the last %d", len(got), got[len(got)-1])
	}
}

// A long file is renamed, and so are older ones; one that was renamed by somebody else is begun anew.
func TestLines_Rotated(t *testing.T) {
	f := &file{T: t, dir: t.TempDir(), max: 1 << 20}
	f.add(100)
	l := f.open()
	f.write(l)
	if err := os.Rename(f.path(""), f.path(".old")); err != nil {
		t.Fatal(err)
	}
	f.add(5)
	f.write(l)
	f.once(".old", "")
	if err := os.Remove(f.path("")); err != nil {
		t.Fatal(err)
	}
	l = f.open() // a restart with an empty file: the place is known
	f.add(1)
	f.write(l)
	if got := f.numbers(""); len(got) != 1 || got[0] != 106 {
		t.Errorf("after a restart without the file: %v", got)
	}
	f.max = 1
	l = f.open()
	for range 12 {
		f.add(1)
		f.write(l)
	}
	if got := f.numbers(".9", ".1", ""); len(got) != 3 || got[0] != 109 || got[1] != 117 || got[2] != 118 {
		t.Errorf("after twelve full files: %v", got)
	}
	if _, err := os.Stat(f.path(".10")); err == nil {
		t.Error("a tenth old file is kept")
	}
	if err := os.WriteFile(f.path(""), []byte("something else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trail.NewLines(trail.LinesConfig{}); err == nil {
		t.Error("lines without a configuration")
	}
}
