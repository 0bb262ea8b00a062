package apply_test

import (
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
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/schema"
)

// trial is a store that remembers what an entry writes, by table and in order.
type trial struct {
	*applytest.Store
	wrote map[*schema.Shape][]schema.Row
}

func (s *trial) Put(t *schema.Shape, key []byte, row schema.Row) {
	s.wrote[t] = append(s.wrote[t], row)
	s.Store.Put(t, key, row)
}

func (s *trial) Insert(t *schema.Shape, key []byte, row schema.Row) { s.Put(t, key, row) }

func (s *trial) Delete(t *schema.Shape, key []byte) {
	s.wrote[t] = append(s.wrote[t], nil)
	s.Store.Delete(t, key)
}

// try applies an entry, undoes it, and gives what it wrote, or the id of the refusal.
func (s *trial) try(t *testing.T, e core.Entry) (map[*schema.Shape][]schema.Row, string) {
	t.Helper()
	p, err := apply.Prepare(e)
	if err != nil {
		t.Fatal(err)
	}
	s.wrote = map[*schema.Shape][]schema.Row{}
	fx, err := apply.NewMachine(s).Apply(p)
	if err != nil {
		t.Fatal(err)
	}
	if fx.Fault != nil {
		t.Fatalf("%T panicked: %v\n%s", p.Command, fx.Fault.Value, fx.Fault.Stack)
	}
	if fx.Accepted {
		s.Store.Revert()
		return s.wrote, ""
	}
	return nil, core.AsError(command.DecodeOutcome(fx.Outcome, nil)).ID
}

// changed names the columns in which two runs of an entry wrote other values, and the tables in which they wrote more or
// fewer rows.
func changed(a, b map[*schema.Shape][]schema.Row) map[string]bool {
	out := map[string]bool{}
	for _, t := range apply.Shapes {
		if len(a[t]) != len(b[t]) {
			out[t.Name] = true
			continue
		}
		for i, x := range a[t] {
			y := b[t][i]
			if x == nil || y == nil {
				if x != y {
					out[t.Name] = true
				}
				continue
			}
			for n := range t.Columns {
				c := &t.Columns[n]
				if c.Null(x) != c.Null(y) || !c.Null(x) && string(c.Append(nil, x)) != string(c.Append(nil, y)) {
					out[t.Name+"."+c.Name] = true
				}
			}
		}
	}
	return out
}

// fates is what became of the values that were tried in a field.
type fates struct {
	accepted int
	object   bool // the field has the id of an object
	sets     map[string]bool
}

func (f *fates) String() string {
	switch {
	case f.accepted == 0:
		return "refused"
	case len(f.sets) == 0:
		return "ignored"
	case f.object:
		return "names the object"
	}
	return strings.Join(slices.Sorted(maps.Keys(f.sets)), " ")
}

// The golden file says for every field of every command what it can change in the state: the columns, or that another
// value is refused, or ignored. A field of a noun that only apply decides (who is the owner, when it was made, how often
// it was used, a role) must be ignored or refused, whatever an edge sends. The commands are those of the recorded histories,
// each tried where it was accepted, and undone.
func TestCommands_Fields(t *testing.T) {
	const bases = 4 // of each command
	fields := map[string]*fates{}
	tried := map[reflect.Type]int{}
	logs, err := filepath.Glob(histories + "/v*.log.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range logs {
		m, pool := applytest.NewModel(), &applytest.Pool{}
		for _, e := range read(t, file) {
			by, c, err := command.Decode(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			typ := reflect.TypeOf(c).Elem()
			s := &trial{Store: m.Store}
			if base, refusal := s.try(t, e); refusal == "" && tried[typ] < bases && (len(base) > 0 || tried[typ] == 0) {
				tried[typ]++
				tryFields(t, s, pool, fields, e, by, c, base)
			}
			pool.See(c)
			m.Take(e)
			var made command.Made
			if command.DecodeOutcome(m.Receipts[e.Index].Outcome, &made) == nil && !made.ID.IsZero() {
				pool.SeeID(made.ID)
			}
		}
	}
	for _, typ := range command.Types() {
		if tried[typ] == 0 && typ != reflect.TypeFor[command.RaiseVersion]() {
			t.Errorf("%v is accepted in no recorded history", typ)
		}
	}
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "%s: %v\n", path, fields[path])
	}
	const golden = "testdata/fields.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("what commands may set has changed; -update writes it down (-golden +now):\n%s", d)
	}
}

// tryFields tries values in every field of a command that is accepted as it is.
func tryFields(t *testing.T, s *trial, pool *applytest.Pool, fields map[string]*fates, e core.Entry, by command.Caller, c command.Command, base map[*schema.Shape][]schema.Row) {
	t.Helper()
	for i, l := range applytest.Leaves(c) {
		if fields[l.Path] == nil {
			fields[l.Path] = &fates{sets: map[string]bool{}, object: l.Value.Kind() == reflect.Array}
		}
		f := fields[l.Path]
		for _, v := range pool.Values(l.Value) {
			if reflect.DeepEqual(v.Interface(), l.Value.Interface()) {
				continue
			}
			other := applytest.Copy(c)
			applytest.Leaves(other)[i].Value.Set(v)
			data, err := command.Encode(by, other)
			if err != nil {
				continue
			}
			if _, _, err := command.Check(core.Proposal{Data: data, Sealed: e.Sealed}, core.LogVersion); err != nil {
				continue // it would not come into the log
			}
			e.Data, e.Scope = data, apply.ScopeOf(s.Store, other)
			if got, refusal := s.try(t, e); refusal == "" {
				f.accepted++
				maps.Copy(f.sets, changed(base, got))
			}
		}
	}
}
