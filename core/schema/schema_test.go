package schema

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

type id [16]byte

type ref struct {
	ID   [32]byte `cbor:"1,keyasint" db:"id"`
	Size int64    `cbor:"2,keyasint" db:"size"`
}

type thing struct {
	ID      id                `cbor:"1,keyasint" db:"id"`
	Name    string            `cbor:"2,keyasint" db:"name" max:"8"`
	Words   string            `cbor:"3,keyasint" db:"words" runes:"3"`
	At      int64             `cbor:"4,keyasint" db:"at"`
	On      bool              `cbor:"5,keyasint" db:"on_"`
	Picture ref               `cbor:"6,keyasint" db:"picture,null"`
	Props   map[string]any    `cbor:"7,keyasint" db:"props" max:"20"`
	Notes   map[string]string `cbor:"8,keyasint" db:"notes" max:"8"`
	List    []id              `cbor:"9,keyasint" db:"list" max:"2"`
	Raw     []byte            `cbor:"10,keyasint" db:"raw" max:"4"`
	Loose   string            // without a column
}

type nameAt struct {
	Name string `db:"name"`
	At   int64  `db:"at"`
}

var things = Of[id, thing]("things", "id")

// The columns, their types and their numbers follow from the tags, also in a struct inside a struct.
func TestShape_Columns(t *testing.T) {
	type column struct {
		name, typ string
		null      bool
		number    uint16
	}
	var got []column
	for _, c := range things.Columns {
		got = append(got, column{c.Name, c.Type, c.Nullable, c.Number})
	}
	want := []column{
		{"id", "uuid", false, 1}, {"name", "text", false, 2}, {"words", "text", false, 3}, {"at", "bigint", false, 4}, {"on_", "boolean", false, 5},
		{"picture", "bytea", true, 6<<8 | 1}, {"picture_size", "bigint", false, 6<<8 | 2}, {"props", "bytea", true, 7}, {"notes", "bytea", true, 8},
		{"list", "bytea", true, 9}, {"raw", "bytea", true, 10},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(column{})); d != "" {
		t.Error(d)
	}
}

// A declaration with a column that could grow without a bound, or could not be read back, is refused.
func TestShape_WrongDeclarations(t *testing.T) {
	for says, v := range map[string]any{
		"has no limit": struct {
			A string `cbor:"1" db:"a"`
		}{},
		"cannot grow": struct {
			A int64 `cbor:"1" db:"a" max:"3"`
		}{},
		"only a text has runes": struct {
			A []byte `cbor:"1" db:"a" runes:"3"`
		}{},
		"gives no number": struct {
			A int64 `db:"a"`
		}{},
		"have one number": struct {
			A int64 `cbor:"1" db:"a"`
			B int64 `cbor:"1" db:"b"`
		}{},
		"no column can hold": struct {
			A float32 `cbor:"1" db:"a"`
		}{},
		"no option is called": struct {
			A int64 `cbor:"1" db:"a,unique"`
		}{},
		"cannot be NULL": struct {
			A string `cbor:"1" db:"a,null" max:"3"`
		}{},
		"can have 2727 bytes": struct {
			A string `cbor:"1" db:"a" max:"2700"`
		}{},
		"is a list or a map": struct {
			A []byte `cbor:"1" db:"a" max:"20"`
		}{},
		"can hold a []struct { B string }": struct {
			A []struct{ B string } `cbor:"1" db:"a" max:"20"`
		}{},
		"is no number above": struct {
			A string `cbor:"1" db:"a" max:"-1"`
		}{},
		"has no column": struct {
			B int64 `cbor:"1" db:"b"`
		}{},
		"has columns and a key": struct{ B int64 }{},
	} {
		if _, err := CompileShape("wrong", reflect.TypeOf(v), []string{"a"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// What all columns of an index can have together is bounded, not each of them alone.
func TestIndex_EntryTooLarge(t *testing.T) {
	type key struct {
		A string `db:"a"`
		B string `db:"b"`
	}
	type row struct {
		A string `cbor:"1" db:"a" max:"1400"`
		B string `cbor:"2" db:"b" runes:"350"`
		N int64  `cbor:"3" db:"n"`
	}
	one := Of[string, row]("rows", "a")
	for what, f := range map[string]func(){
		"a, b can have 2838 bytes":    func() { Of[key, row]("rows") },
		"n, b, a can have 2857 bytes": func() { IndexOf[int64](one, []string{"n"}, OrderBy("b"), AtMost(1)) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, what) {
					t.Errorf("got %q, want %q", got, what)
				}
			}()
			f()
		}()
	}
}

// A value at its limit is accepted and one beyond it refused, and so is what PostgreSQL cannot store.
func TestShape_Check(t *testing.T) {
	for name, c := range map[string]struct {
		row  thing
		over string
	}{
		"Empty":     {thing{}, ""},
		"Full":      {thing{Name: "12345678", Words: "漢漢漢", Props: map[string]any{"a": "b", "n": 1.5}, Notes: map[string]string{"1234": "5678"}, List: []id{{1}, {2}}, Raw: []byte{1, 2, 3, 4}}, ""},
		"Bytes":     {thing{Name: "123456789"}, "name"},
		"Runes":     {thing{Words: "漢漢漢漢"}, "words"},
		"NUL":       {thing{Name: "a\x00"}, "name"},
		"UTF8":      {thing{Name: "\xff"}, "name"},
		"Props":     {thing{Props: map[string]any{"a": strings.Repeat("b", 20)}}, "props"},
		"DeepNUL":   {thing{Props: map[string]any{"a": []any{map[string]any{"b": "\x00"}}}}, "props"},
		"NaN":       {thing{Props: map[string]any{"a": math.NaN()}}, "props"},
		"OtherType": {thing{Props: map[string]any{"a": struct{}{}}}, "props"},
		"Notes":     {thing{Notes: map[string]string{"1234": "56789"}}, "notes"},
		"NotesNUL":  {thing{Notes: map[string]string{"\x00": ""}}, "notes"},
		"List":      {thing{List: []id{{1}, {2}, {3}}}, "list"},
		"Raw":       {thing{Raw: []byte{1, 2, 3, 4, 5}}, "raw"},
	} {
		if got := things.Check(Row(&c.row)); got != c.over {
			t.Errorf("%s: %q is over, want %q", name, got, c.over)
		}
	}
}

// Reading the binary values of a row gives the row as Normalize makes it.
func TestShape_RoundTrip(t *testing.T) {
	for _, in := range []thing{
		{},
		{ID: id{1}, Name: "n", At: -5, On: true, Picture: ref{[32]byte{7}, 9}, Props: map[string]any{"i": 3, "l": []string{"x"}, "m": map[string]any{}},
			Notes: map[string]string{}, List: []id{}, Raw: []byte{}, Loose: "gone"},
	} {
		things.Normalize(Row(&in))
		raw := make([][]byte, len(things.Columns))
		for i := range things.Columns {
			if c := &things.Columns[i]; !c.Null(Row(&in)) {
				raw[i] = c.Append([]byte{}, Row(&in))
			}
		}
		var out thing
		if err := things.Read(Row(&out), raw); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(in, out, cmp.AllowUnexported()); d != "" || out.Loose != "" {
			t.Errorf("read back (-in +out):\n%s", d)
		}
	}
	if err := things.Read(Row(new(thing)), make([][]byte, len(things.Columns))); err == nil {
		t.Error("NULL was read into a column that has none")
	}
}

// The digest of a row covers its values by the numbers of their columns and nothing that is zero, so
// that a column which is added later changes no digest of older entries.
func TestShape_DigestOfAddedColumn(t *testing.T) {
	type before struct {
		ID   id     `cbor:"1,keyasint" db:"id"`
		Name string `cbor:"2,keyasint" db:"name" max:"8"`
	}
	type after struct {
		More string `cbor:"3,keyasint" db:"more" max:"8"`
		Name string `cbor:"2,keyasint" db:"renamed" max:"9"`
		ID   id     `cbor:"1,keyasint" db:"id"`
	}
	old, now := Of[id, before]("t", "id"), Of[id, after]("t", "id")
	a := old.AppendDigest(nil, Row(&before{id{1}, "x"}))
	b := now.AppendDigest(nil, Row(&after{ID: id{1}, Name: "x"}))
	if !bytes.Equal(a, b) {
		t.Errorf("%x, and with a new column %x", a, b)
	}
	if c := now.AppendDigest(nil, Row(&after{ID: id{1}, Name: "x", More: "y"})); bytes.Equal(b, c) {
		t.Error("the new column's value is not covered")
	}
}

// A key or value is encoded in the same way from a row and from a Go value, can be split into the
// binary forms of its columns again, and differs for different values.
func TestIndex_Values(t *testing.T) {
	byNameAt := IndexOf[nameAt](things, []string{"name", "at"}, OrderBy("at"), AtMost(3))
	rnd := rand.New(rand.NewPCG(1, 1))
	seen := map[string]nameAt{}
	for range 2000 {
		v := nameAt{strings.Repeat(string(rune('a'+rnd.IntN(2))), rnd.IntN(4)), rnd.Int64N(4) - 2}
		row := thing{Name: v.Name, At: v.At}
		a, ok := byNameAt.Value(nil, v)
		if b := byNameAt.AppendValue(nil, Row(&row)); !ok || !bytes.Equal(a, b) {
			t.Fatalf("%v is %x, of a row %x", v, a, b)
		}
		if other, taken := seen[string(a)]; taken && other != v {
			t.Fatalf("%v and %v have one form", v, other)
		}
		seen[string(a)] = v
		if parts := byNameAt.Split(a); string(parts[0]) != v.Name || len(parts[1]) != 8 {
			t.Fatalf("%v comes apart into %q", v, parts)
		}
	}
	if _, ok := byNameAt.Value(nil, nameAt{Name: "a\x00"}); ok {
		t.Error("a value that no row can have was encoded")
	}
}

// No index finds a row by the zero id, in memory or in PostgreSQL; a key with it has a form all the same.
func TestIndex_ZeroID(t *testing.T) {
	type nameID struct {
		Name string `db:"name"`
		ID   id     `db:"id"`
	}
	byID, both := IndexOf[id](things, []string{"id"}, AtMost(1)), UniqueOf[nameID](things, "name", "id")
	for _, zero := range []bool{true, false} {
		one := id{}
		if !zero {
			one = id{1}
		}
		if _, ok := byID.Value(nil, one); ok == zero {
			t.Errorf("%v: found is %v", one, ok)
		}
		if _, ok := both.Value(nil, nameID{"a", one}); ok == zero {
			t.Errorf("%v with a name: found is %v", one, ok)
		}
	}
	if _, ok := things.Key(nil, id{}); !ok {
		t.Error("the zero key has no form")
	}
}

// The order of an index is total: by its columns, in their direction, and then by the key.
func TestIndex_Order(t *testing.T) {
	down := IndexOf[string](things, []string{"name"}, OrderBy("at"), Down(), AtMost(9), WhereZero("on_"))
	rows := []thing{{ID: id{2}, At: 1}, {ID: id{1}, At: 1}, {ID: id{3}, At: -7}, {ID: id{4}, At: 2}}
	slices.SortFunc(rows, func(a, b thing) int { return down.Compare(Row(&a), Row(&b)) })
	var got []byte
	for _, r := range rows {
		got = append(got, r.ID[0])
	}
	if string(got) != "\x04\x01\x02\x03" {
		t.Errorf("the order is %v", got)
	}
	if down.Matches(Row(&thing{On: true})) || !down.Matches(Row(&thing{})) {
		t.Error("rows that do not count are listed, or the others are not")
	}
}

// A table says what its key is: one column by name, or several by the tags of a struct. Anything else does not compile.
func TestOf_Key(t *testing.T) {
	for name, declare := range map[string]func(){
		"no key":                     func() { Of[id, thing]("t") },
		"no such column":             func() { Of[id, thing]("t", "nothing") },
		"another type":               func() { Of[id, thing]("t", "name") },
		"two columns for one value":  func() { Of[id, thing]("t", "id", "name") },
		"named twice":                func() { Of[nameAt, thing]("t", "name") },
		"a struct that names no one": func() { Of[struct{ A, B string }, thing]("t") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: it compiles", name)
				}
			}()
			declare()
		}()
	}
}

// A patch sets the fields that it names and leaves the others. One that does not fit its noun stops the
// program.
func TestPatchOf(t *testing.T) {
	type noun struct {
		ID, Name string
		Tags     []string
	}
	type patch struct {
		Name *string
		Tags *[]string
	}
	name, row := "new", noun{"id", "old", []string{"kept"}}
	PatchOf[patch, noun]()(&row, &patch{Name: &name})
	if d := cmp.Diff(noun{"id", "new", []string{"kept"}}, row); d != "" {
		t.Error(d)
	}
	for what, bad := range map[string]func(){
		"another name": func() { PatchOf[struct{ Nome *string }, noun]() },
		"another type": func() { PatchOf[struct{ Tags *string }, noun]() },
		"no pointer":   func() { PatchOf[struct{ Name string }, noun]() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", what)
				}
			}()
			bad()
		}()
	}
}

// A map of strings is encoded exactly as the CBOR library encodes it: digests and stored rows depend on it.
func TestStringMaps_AsTheLibrary(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		return strings.Repeat("kä"[:rnd.IntN(4)], []int{0, 1, 7, 12, 100, 30_000}[rnd.IntN(6)]) + strconv.Itoa(rnd.IntN(50))
	}
	c := stringMaps()
	for range 300 {
		m := map[string]string{}
		for range []int{0, 1, 3, 30, 300}[rnd.IntN(5)] {
			m[text()] = text()
		}
		if rnd.IntN(20) == 0 {
			m = nil
		}
		want, err := encMode.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.put(nil, unsafe.Pointer(&m)); !bytes.Equal(got, want) {
			t.Fatalf("a map of %d strings is encoded as %.99x, not %.99x", len(m), got, want)
		}
	}
}
