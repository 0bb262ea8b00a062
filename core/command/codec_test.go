package command

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
)

var update = flag.Bool("update", false, "rewrite golden files")

// filled gives a command with a value in every field, the same in every run.
func filled(k Number) Command {
	c := reflect.New(byNumber[k].typ)
	n := 0
	fill(c.Elem(), &n)
	return c.Interface()
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64((*n + i) % 256))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		val := reflect.New(v.Type().Elem()).Elem()
		if val.Kind() == reflect.Interface {
			val.Set(reflect.ValueOf(float64(*n)))
		} else {
			fill(val, n)
		}
		v.SetMapIndex(reflect.ValueOf("k"), val)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Anonymous {
				*n-- // its fields are those of the outer struct
			}
			if f.Tag.Get("cbor") != "-" {
				fill(v.Field(i), n)
			}
		}
	}
}

func kinds() []Number {
	var all []Number
	for k := range byNumber {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// The encoding of a command never changes.
func TestCodec_BytesNeverChange(t *testing.T) {
	var b strings.Builder
	for _, k := range kinds() {
		data, err := Encode(Caller{Session: core.SessionID{1}}, filled(k))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d %T\n%s\n", k, filled(k), hex.EncodeToString(data))
	}
	const file = "testdata/commands.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the log's bytes changed; old logs could not be read (-want +got):\n%s", diff)
	}
}

// Every command can be decoded to what was encoded, and encodes to the same bytes again.
func TestCodec_RoundTrip(t *testing.T) {
	for _, k := range kinds() {
		in := filled(k)
		by := Caller{Session: core.SessionID{9, 9}}
		data, err := Encode(by, in)
		if err != nil {
			t.Fatal(err)
		}
		gotBy, got, err := Decode(data)
		if err != nil {
			t.Fatalf("%T: %v", in, err)
		}
		if gotBy != by || !cmp.Equal(in, got) {
			t.Errorf("%T: %s", in, cmp.Diff(in, got))
		}
	}
}

// An entry that this version cannot read asks for an upgrade, and is not skipped.
func TestDecode_Unknown(t *testing.T) {
	unknown, _ := encMode.Marshal(envelope{Number: 60000, Body: []byte{0xa0}})
	for name, data := range map[string][]byte{"UnknownKind": unknown, "Empty": nil, "Garbage": {0xff, 0x00}} {
		if _, _, err := Decode(data); core.KindOf(err) != core.KindUpgrade {
			t.Errorf("%s: got %v, want an upgrade error", name, err)
		}
		if _, _, err := Check(core.Proposal{Data: data}, core.LogVersion); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: Check gave %v, want invalid", name, err)
		}
	}
}

// For any input, decoding does not panic and accepts only what encodes to the same bytes again.
func FuzzDecode(f *testing.F) {
	for _, k := range kinds() {
		data, _ := Encode(Caller{}, filled(k))
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		by, c, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Encode(by, c)
		if err != nil {
			t.Fatalf("decoded but does not encode: %v", err)
		}
		if _, _, err := Decode(again); err != nil {
			t.Fatalf("encoded but does not decode: %v", err)
		}
	})
}

// A refusal in an outcome is decoded as the same error; a result is decoded into the caller's variable.
func TestOutcome(t *testing.T) {
	no := core.Refusal{Kind: core.KindForbidden, ID: "a.b"}.With("max", 5, "reason", "uploads")
	no.Message = "prose stays here"
	refused, _ := EncodeOutcome(core.User{Username: "x"}, no)
	const golden = "a101a301030263612e6203a2636d61786135" + "66726561736f6e6775706c6f616473"
	if got := hex.EncodeToString(refused); got != golden {
		t.Errorf("a refusal is %s in the log, not %s", got, golden)
	}
	var u core.User
	err := DecodeOutcome(refused, &u)
	if e := core.AsError(err); e.Kind != core.KindForbidden || e.ID != "a.b" || e.Message != "" || e.Args["max"] != "5" || u.Username != "" {
		t.Errorf("got %+v and %+v", e, u)
	}
	ok, _ := EncodeOutcome(core.User{Username: "x"}, nil)
	if err := DecodeOutcome(ok, &u); err != nil || u.Username != "x" {
		t.Errorf("got %v and %+v", err, u)
	}
}

// hostileRefusals are larger than any that a node makes, by what their error must name.
func hostileRefusals() map[string]*core.Error {
	refusal := func(id string, n int, key, value string) *core.Error {
		e := &core.Error{Kind: core.KindInvalid, ID: id, Args: core.Args{}}
		for i := range n {
			e.Args[fmt.Sprint(key, i)] = value
		}
		return e
	}
	return map[string]*core.Error{
		"200 bytes, more than 128":       refusal(strings.Repeat("i", 200), 0, "", ""),
		"9 arguments, more than 8":       refusal("a.b", core.MaxArgs+1, "k", "v"),
		"33 and 1 bytes, more than 32":   refusal("a.b", 1, strings.Repeat("k", core.MaxArgKeyBytes), "v"),
		"2 and 257 bytes, more than 32 ": refusal("a.b", 1, "k", strings.Repeat("v", core.MaxArgBytes+1)),
	}
}

// A refusal from another node that is larger than any of ours is an error that says so, and none of it
// goes on to a client.
func TestDecodeOutcome_HostileRefusal(t *testing.T) {
	for want, e := range hostileRefusals() {
		data, err := EncodeOutcome(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		err = DecodeOutcome(data, nil)
		if err == nil || !strings.Contains(err.Error(), want) || core.KindOf(err) != core.KindInternal {
			t.Errorf("got %v, want it to name %q", err, want)
		}
	}
}

// Whatever a node refuses for, and whatever arguments it is given, comes through; whatever arrives, no
// refusal is over its bounds.
func FuzzOutcome(f *testing.F) {
	for _, e := range hostileRefusals() {
		data, _ := EncodeOutcome(nil, e)
		f.Add(data, "max", "5", uint8(1))
	}
	f.Add([]byte{0xa1, 1, 0xa0}, "k\xff", strings.Repeat("é", 200), uint8(9))
	f.Fuzz(func(t *testing.T, data []byte, key, value string, n uint8) {
		var e *core.Error
		if err := DecodeOutcome(data, nil); errors.As(err, &e) {
			if err := e.CheckBounds(); err != nil {
				t.Fatal(err)
			}
		}
		e = &core.Error{Kind: core.KindInvalid, ID: "a.b"}
		for i := range n {
			e = e.With(fmt.Sprint(i, key), value, fmt.Sprint(key, i), i)
		}
		data, err := EncodeOutcome(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(error(e), DecodeOutcome(data, nil)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A command that could not be decoded is refused before it is in the log, where it would stop every
// replica.
func TestEncode_TooDeep(t *testing.T) {
	deep := map[string]any{}
	for range 60 {
		deep = map[string]any{"a": deep}
	}
	if _, err := Encode(Caller{}, &CreatePost{Post: core.Post{Props: deep}}); core.KindOf(err) != core.KindInvalid {
		t.Errorf("got %v, want invalid", err)
	}
}

// A command with so many small values that decoding would cost every replica a second is refused at
// the edge, and at home if an edge sends it.
func TestManyValues_AreRefused(t *testing.T) {
	props := func(lists int) *CreatePost {
		c := &CreatePost{Post: core.Post{Message: "hello", Props: map[string]any{}}}
		for i := range lists {
			c.Post.Props[fmt.Sprint(i)] = slices.Repeat([]any{map[string]any{}, "text", 1000, 1.5}, 4000)
		}
		return c
	}
	by := Caller{Session: core.SessionID{1}}
	data, err := Encode(by, props(4))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Check(core.Proposal{Data: data}, core.LogVersion); err != nil {
		t.Errorf("64,000 values: %v", err)
	}
	if _, err := Encode(Caller{}, props(5)); core.KindOf(err) != core.KindInvalid {
		t.Errorf("80,000 values: %v", err)
	}
	data, err = cbor.Marshal(map[int]any{1: 40, 2: map[int]any{1: core.SessionID{}}, 3: props(5)})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Check(core.Proposal{Data: data}, core.LogVersion); core.KindOf(err) != core.KindInvalid {
		t.Errorf("80,000 values from an edge: %v", err)
	}
}

// A command of a later version of the log is refused until that version has begun.
func TestCheck_Since(t *testing.T) {
	typ := reflect.TypeFor[*EndSession]()
	k := byType[typ]
	defer func() { byType[typ] = k }()
	byType[typ] = row[EndSession](k.number, signsIn, 2)
	data, err := Encode(Caller{Session: core.SessionID{1}}, &EndSession{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Check(core.Proposal{Data: data}, 1); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("before: %v", err)
	}
	if _, _, err := Check(core.Proposal{Data: data}, 2); err != nil {
		t.Errorf("after: %v", err)
	}
}
