package schema

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
)

// Object ids of PostgreSQL's own types; they never change.
const (
	oidBool  = 16
	oidBytea = 17
	oidInt8  = 20
	oidText  = 25
	oidUUID  = 2950
)

// codec says how a Go type is stored in a column. We write PostgreSQL's binary forms ourselves: a
// batch is a few arrays of thousands of values, and a driver that reflects on each of them would
// cost more than the decisions that made them. Pointers point to the field.
type codec struct {
	typ      string // PostgreSQL's name of the type
	oid      uint32
	width    int  // of the binary form; 0 when it varies
	each     int  // bytes that one element of a list takes; 0: a limit is in bytes
	nullable bool // null may be true
	put      func(b []byte, p unsafe.Pointer) []byte
	get      func(p unsafe.Pointer, raw []byte) error // raw is only valid during the call
	zero     func(p unsafe.Pointer) bool              // the field's zero value
	null     func(p unsafe.Pointer) bool              // stored as NULL
	normal   func(p unsafe.Pointer)                   // makes the value what the column will give back; nil if it always is
	extra    func(p unsafe.Pointer) int               // bytes of memory beside the field itself
	fits     func(p unsafe.Pointer, l limit) bool     // can be stored and is within its limit
	cmp      func(a, b []byte) int                    // orders binary forms as the database does
}

// limit is the size limit in a column's tag; 0 means none.
type limit struct{ max, runes int }

// A value of a fixed width takes no memory outside its field and always fits.
func nothing(unsafe.Pointer) int        { return 0 }
func always(unsafe.Pointer, limit) bool { return true }

func width(raw []byte, n int) error {
	if len(raw) != n {
		return fmt.Errorf("column has %d bytes, not %d", len(raw), n)
	}
	return nil
}

// bytesOf is the codec of an array of n bytes.
func bytesOf[A [16]byte | [32]byte](typ string, oid uint32) codec {
	var none A
	n := int(unsafe.Sizeof(none))
	c := codec{typ: typ, oid: oid, width: n, cmp: bytes.Compare}
	c.extra, c.fits = nothing, always
	c.put = func(b []byte, p unsafe.Pointer) []byte { return append(b, unsafe.Slice((*byte)(p), n)...) }
	c.get = func(p unsafe.Pointer, raw []byte) error {
		if err := width(raw, n); err != nil {
			return err
		}
		copy(unsafe.Slice((*byte)(p), n), raw)
		return nil
	}
	c.zero = func(p unsafe.Pointer) bool { return *(*A)(p) == none }
	return c
}

func bigints() codec {
	c := codec{typ: "bigint", oid: oidInt8, width: 8}
	c.extra, c.fits = nothing, always
	c.put = func(b []byte, p unsafe.Pointer) []byte { return binary.BigEndian.AppendUint64(b, *(*uint64)(p)) }
	c.get = func(p unsafe.Pointer, raw []byte) error {
		if err := width(raw, 8); err != nil {
			return err
		}
		*(*uint64)(p) = binary.BigEndian.Uint64(raw)
		return nil
	}
	c.zero = func(p unsafe.Pointer) bool { return *(*uint64)(p) == 0 }
	c.cmp = func(a, b []byte) int {
		return cmp.Compare(int64(binary.BigEndian.Uint64(a)), int64(binary.BigEndian.Uint64(b)))
	}
	return c
}

func booleans() codec {
	c := codec{typ: "boolean", oid: oidBool, width: 1, cmp: bytes.Compare}
	c.extra, c.fits = nothing, always
	c.put = func(b []byte, p unsafe.Pointer) []byte {
		if *(*bool)(p) {
			return append(b, 1)
		}
		return append(b, 0)
	}
	c.get = func(p unsafe.Pointer, raw []byte) error {
		if err := width(raw, 1); err != nil {
			return err
		}
		*(*bool)(p) = raw[0] == 1
		return nil
	}
	c.zero = func(p unsafe.Pointer) bool { return !*(*bool)(p) }
	return c
}

func texts() codec {
	c := codec{typ: "text", oid: oidText, cmp: bytes.Compare}
	c.put = func(b []byte, p unsafe.Pointer) []byte { return append(b, *(*string)(p)...) }
	c.get = func(p unsafe.Pointer, raw []byte) error { *(*string)(p) = string(raw); return nil }
	c.zero = func(p unsafe.Pointer) bool { return *(*string)(p) == "" }
	c.extra = func(p unsafe.Pointer) int { return len(*(*string)(p)) }
	c.fits = func(p unsafe.Pointer, l limit) bool { s := *(*string)(p); return Storable(s) && l.text(s) }
	return c
}

// Storable reports whether PostgreSQL can store s as text. A statement with a text that it cannot
// store would fail again and again on every replica.
func Storable(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

func (l limit) text(s string) bool {
	if l.runes > 0 && len(s) > l.runes && utf8.RuneCountInString(s) > l.runes {
		return false
	}
	return l.max == 0 || len(s) <= l.max
}

func raws() codec {
	c := codec{typ: "bytea", oid: oidBytea, nullable: true, cmp: bytes.Compare}
	c.put = func(b []byte, p unsafe.Pointer) []byte { return append(b, *(*[]byte)(p)...) }
	c.get = func(p unsafe.Pointer, raw []byte) error { *(*[]byte)(p) = append([]byte{}, raw...); return nil }
	c.zero = func(p unsafe.Pointer) bool { return *(*[]byte)(p) == nil }
	c.null = c.zero
	c.extra = func(p unsafe.Pointer) int { return len(*(*[]byte)(p)) }
	c.fits = func(p unsafe.Pointer, l limit) bool { return len(*(*[]byte)(p)) <= l.max }
	return c
}

// Lists and maps are stored as CBOR, as in the log. JSON would give back other types of numbers than
// were written, and apply could decide differently on a row from memory and on one from the table.
var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{MaxNestedLevels: 32, MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20,
		DefaultMapType: reflect.TypeFor[map[string]any]()}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options are constants
	}
	return v
}

// packed is the codec of a Go type V whose zero value is nil, stored as CBOR.
func packed[V any](isNil func(V) bool) codec {
	c := codec{typ: "bytea", oid: oidBytea, nullable: true, cmp: bytes.Compare}
	c.put = func(b []byte, p unsafe.Pointer) []byte {
		raw, err := encMode.Marshal(*(*V)(p))
		if err != nil {
			return append(b, 0xf6) // CBOR's null; fits has refused such a value before
		}
		return append(b, raw...)
	}
	c.get = func(p unsafe.Pointer, raw []byte) error { return decMode.Unmarshal(raw, (*V)(p)) }
	c.zero = func(p unsafe.Pointer) bool { return isNil(*(*V)(p)) }
	c.null = c.zero
	return c
}

// appendStringMap appends what encMode makes of a map. Nearly every post writes a membership, which has one, and
// the library, which reflects on every element, took a twelfth of the time of deciding it.
func appendStringMap(b []byte, m map[string]string) []byte {
	var few [16]string
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	b = appendHead(b, 5, len(m))
	for _, k := range keys {
		b = append(appendHead(b, 3, len(k)), k...)
		b = append(appendHead(b, 3, len(m[k])), m[k]...)
	}
	return b
}

// appendHead appends the beginning of a CBOR item of a major type, in the shortest form (RFC 8949, section 3).
func appendHead(b []byte, major byte, n int) []byte {
	switch major <<= 5; {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
}

func stringMaps() codec {
	c := packed(func(v map[string]string) bool { return v == nil })
	c.put = func(b []byte, p unsafe.Pointer) []byte {
		if m := *(*map[string]string)(p); m != nil {
			return appendStringMap(b, m)
		}
		return append(b, 0xf6)
	}
	c.extra = func(p unsafe.Pointer) int {
		n := 48
		for k, s := range *(*map[string]string)(p) {
			n += len(k) + len(s) + 48
		}
		return n
	}
	c.fits = func(p unsafe.Pointer, l limit) bool {
		n := 0
		for k, s := range *(*map[string]string)(p) {
			if !Storable(k) || !Storable(s) {
				return false
			}
			n += len(k) + len(s)
		}
		return n <= l.max
	}
	return c
}

// anyMaps is the codec of maps that hold JSON values. A value of another Go type is kept in memory
// as it would be read back.
func anyMaps() codec {
	c := packed(func(v map[string]any) bool { return v == nil })
	c.normal = func(p unsafe.Pointer) {
		v := (*map[string]any)(p)
		if canonical(*v) {
			return
		}
		raw := c.put(nil, p)
		if *v = nil; c.get(p, raw) != nil {
			*v = map[string]any{} // fits has refused such a value before
		}
	}
	c.extra = func(p unsafe.Pointer) int { return weigh(*(*map[string]any)(p)).memory }
	c.fits = func(p unsafe.Pointer, l limit) bool {
		w := weigh(*(*map[string]any)(p))
		return w.ok && w.bytes <= l.max && w.memory <= 2*l.max+1<<10 // without the limit on memory, thousands of empty lists would fit
	}
	return c
}

// canonical reports whether encoding and decoding v gives v again.
func canonical(v any) bool {
	switch v := v.(type) {
	case nil, string, bool, float64:
		return true
	case []any:
		for _, e := range v {
			if !canonical(e) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, e := range v {
			if !canonical(e) {
				return false
			}
		}
		return true
	}
	return false
}

// weight is how large a free-form value is.
type weight struct {
	bytes  int  // of all names and values
	memory int  // about
	ok     bool // it can be stored: text without NUL, finite numbers, and only types that JSON has
}

func (w *weight) add(v weight) {
	w.bytes += v.bytes
	w.memory += v.memory
	w.ok = w.ok && v.ok
}

func weigh(v any) weight {
	switch v := v.(type) {
	case nil, bool, int, int64, uint64:
		return weight{8, 16, true}
	case float64:
		return weight{8, 16, !math.IsNaN(v) && !math.IsInf(v, 0)}
	case string:
		return weight{len(v), 16 + len(v), Storable(v)}
	case []string:
		w := weight{0, 24, true}
		for _, s := range v {
			w.add(weigh(s))
		}
		return w
	case []any:
		w := weight{0, 24, true}
		for _, e := range v {
			w.add(weigh(e))
		}
		return w
	case map[string]any:
		w := weight{0, 48, true}
		for k, e := range v {
			w.add(weight{len(k), len(k) + 48, Storable(k)})
			w.add(weigh(e))
		}
		return w
	}
	return weight{}
}

// listCodec is for a slice type of elements of a fixed size (see fixed).
func listCodec(t reflect.Type) codec {
	header := func(p unsafe.Pointer) *[]struct{} { return (*[]struct{})(p) } // length and nil are the same for every slice
	c := codec{typ: "bytea", oid: oidBytea, nullable: true, cmp: bytes.Compare}
	c.put = func(b []byte, p unsafe.Pointer) []byte {
		raw, err := encMode.Marshal(reflect.NewAt(t, p).Elem().Interface())
		if err != nil {
			return append(b, 0xf6)
		}
		return append(b, raw...)
	}
	c.get = func(p unsafe.Pointer, raw []byte) error {
		return decMode.Unmarshal(raw, reflect.NewAt(t, p).Interface())
	}
	c.zero = func(p unsafe.Pointer) bool { return *header(p) == nil }
	c.null = c.zero
	size := int(t.Elem().Size())
	c.each = size
	c.extra = func(p unsafe.Pointer) int { return len(*header(p)) * size }
	c.fits = func(p unsafe.Pointer, l limit) bool { return len(*header(p)) <= l.max }
	return c
}

// codecOf gives the codec of a field's type.
func codecOf(t reflect.Type, null bool) (codec, error) {
	c, err := codecOfType(t)
	if err == nil && null {
		if c.typ == "text" {
			return c, errors.New("a text cannot be NULL: the empty text says it")
		}
		c.nullable, c.null = true, c.zero
	}
	return c, err
}

// fixed reports whether the values of a type take no memory outside of themselves: the limit of a list of them
// bounds its size, and nothing in it can be a text that PostgreSQL refuses.
func fixed(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Elem().Kind() == reflect.Uint8
	case reflect.Int64, reflect.Uint64, reflect.Bool:
		return true
	case reflect.Struct:
		for f := range t.Fields() {
			if !fixed(f.Type) {
				return false
			}
		}
		return true
	}
	return false
}

func codecOfType(t reflect.Type) (codec, error) {
	switch t.Kind() {
	case reflect.Array:
		switch {
		case t.Elem().Kind() == reflect.Uint8 && t.Len() == 16:
			return bytesOf[[16]byte]("uuid", oidUUID), nil
		case t.Elem().Kind() == reflect.Uint8 && t.Len() == 32:
			return bytesOf[[32]byte]("bytea", oidBytea), nil
		}
	case reflect.Int64, reflect.Uint64:
		return bigints(), nil
	case reflect.Bool:
		return booleans(), nil
	case reflect.String:
		return texts(), nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return raws(), nil
		}
		if fixed(t.Elem()) {
			return listCodec(t), nil
		}
	case reflect.Map:
		switch t {
		case reflect.TypeFor[map[string]string]():
			return stringMaps(), nil
		case reflect.TypeFor[map[string]any]():
			return anyMaps(), nil
		}
	}
	return codec{}, fmt.Errorf("no column can hold a %v", t)
}
