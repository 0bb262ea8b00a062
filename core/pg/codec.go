package pg

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/nearside/nearside/core"
)

// Object ids of PostgreSQL's own types; they never change.
const (
	oidBool  = 16
	oidBytea = 17
	oidInt8  = 20
	oidInt4  = 23
	oidText  = 25
	oidUUID  = 2950
)

// codec says how a Go type stands in a column. We write the binary forms ourselves: a batch
// is a few arrays of thousands of values, and reflecting on each would cost more than the
// decisions that made them.
type codec[V any] struct {
	typ   string
	oid   uint32
	put   func(b []byte, v V) []byte  // appends the binary form
	get   func(raw []byte) (V, error) // reads it; raw is only valid during the call
	null  func(v V) bool              // stored as NULL, read as the zero V; nil: never
	canon func(v V) V                 // v as it will be read back; nil: as it is
	extra func(v V) int               // bytes of memory beside the value itself; nil: none
}

func width(raw []byte, n int) error {
	if len(raw) != n {
		return fmt.Errorf("column has %d bytes, not %d", len(raw), n)
	}
	return nil
}

// uuids is for every type of 16 bytes.
func uuids[V ~[16]byte]() codec[V] {
	return codec[V]{
		typ: "uuid", oid: oidUUID,
		put: func(b []byte, v V) []byte { return append(b, v[:]...) },
		get: func(raw []byte) (V, error) {
			if err := width(raw, 16); err != nil {
				return V{}, err
			}
			return V(raw), nil
		},
	}
}

// bigints is for every 64-bit integer.
func bigints[V ~int64 | ~uint64]() codec[V] {
	return codec[V]{
		typ: "bigint", oid: oidInt8,
		put: func(b []byte, v V) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) },
		get: func(raw []byte) (V, error) {
			if err := width(raw, 8); err != nil {
				return 0, err
			}
			return V(binary.BigEndian.Uint64(raw)), nil
		},
	}
}

// counts is for numbers that never grow past 31 bits; what does is cut to the largest.
func counts() codec[int64] {
	clamp := func(v int64) int64 { return min(max(v, math.MinInt32), math.MaxInt32) }
	return codec[int64]{
		typ: "integer", oid: oidInt4, canon: clamp,
		put: func(b []byte, v int64) []byte { return binary.BigEndian.AppendUint32(b, uint32(int32(clamp(v)))) },
		get: func(raw []byte) (int64, error) {
			if err := width(raw, 4); err != nil {
				return 0, err
			}
			return int64(int32(binary.BigEndian.Uint32(raw))), nil
		},
	}
}

func booleans() codec[bool] {
	return codec[bool]{
		typ: "boolean", oid: oidBool,
		put: func(b []byte, v bool) []byte {
			if v {
				return append(b, 1)
			}
			return append(b, 0)
		},
		get: func(raw []byte) (bool, error) { return len(raw) == 1 && raw[0] == 1, width(raw, 1) },
	}
}

func texts() codec[string] {
	return codec[string]{
		typ: "text", oid: oidText, canon: storable,
		put:   func(b []byte, v string) []byte { return append(b, v...) },
		get:   func(raw []byte) (string, error) { return string(raw), nil },
		extra: func(v string) int { return len(v) },
	}
}

// storable is s without what PostgreSQL cannot hold in a text: zero bytes and broken UTF-8. A
// statement that failed on them would fail again on every replica and for ever.
func storable(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

func hashes() codec[core.TokenHash] {
	return codec[core.TokenHash]{
		typ: "bytea", oid: oidBytea,
		put: func(b []byte, v core.TokenHash) []byte { return append(b, v[:]...) },
		get: func(raw []byte) (core.TokenHash, error) {
			if err := width(raw, 32); err != nil {
				return core.TokenHash{}, err
			}
			return core.TokenHash(raw), nil
		},
	}
}

// blobIDs is for the names of blobs; the zero name is NULL.
func blobIDs() codec[core.BlobID] {
	return codec[core.BlobID]{
		typ: "bytea", oid: oidBytea,
		put: func(b []byte, v core.BlobID) []byte { return append(b, v[:]...) },
		get: func(raw []byte) (core.BlobID, error) {
			if err := width(raw, 32); err != nil {
				return core.BlobID{}, err
			}
			return core.BlobID(raw), nil
		},
		null: core.BlobID.IsZero,
	}
}

func blobs() codec[[]byte] {
	return codec[[]byte]{
		typ: "bytea", oid: oidBytea,
		put:   func(b []byte, v []byte) []byte { return append(b, v...) },
		get:   func(raw []byte) ([]byte, error) { return append([]byte{}, raw...), nil },
		null:  func(v []byte) bool { return v == nil },
		extra: func(v []byte) int { return cap(v) },
	}
}

// packing is CBOR as the log has it: JSON would give back other numbers than were written, and
// apply would then decide differently on a row from the cache and on one from the table.
type packing struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

var packed = newPacking()

func newPacking() packing {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // options are constants
	}
	dec, err := cbor.DecOptions{MaxNestedLevels: 32, MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20,
		DefaultMapType: reflect.TypeFor[map[string]any]()}.DecMode()
	if err != nil {
		panic(err)
	}
	return packing{enc, dec}
}

// lists is for slices whose elements have a fixed size; nil is NULL.
func lists[E any]() codec[[]E] {
	c := cborOf[[]E](func(v []E) bool { return v == nil })
	c.extra = func(v []E) int { return len(v) * int(reflect.TypeFor[E]().Size()) }
	return c
}

// stringMaps is for maps of strings; nil is NULL and an empty map is not.
func stringMaps() codec[map[string]string] {
	c := cborOf[map[string]string](func(v map[string]string) bool { return v == nil })
	c.extra = func(v map[string]string) int {
		n := 48
		for k, s := range v {
			n += len(k) + len(s) + 48
		}
		return n
	}
	return c
}

// anyMaps is for maps of what JSON can say. A value that a handler built with other Go types
// is kept as it would be read back.
func anyMaps() codec[map[string]any] {
	c := cborOf[map[string]any](func(v map[string]any) bool { return v == nil })
	c.canon = func(v map[string]any) map[string]any {
		if len(v) == 0 {
			return v
		}
		out, err := c.get(c.put(nil, v))
		if err != nil {
			return map[string]any{} // no command can carry such a value
		}
		return out
	}
	c.extra = func(v map[string]any) int { return 48 + 4*len(c.put(nil, v)) }
	return c
}

func cborOf[V any](null func(V) bool) codec[V] {
	return codec[V]{
		typ: "bytea", oid: oidBytea, null: null,
		put: func(b []byte, v V) []byte {
			raw, err := packed.enc.Marshal(v)
			if err != nil {
				return append(b, 0xf6) // CBOR's null, as canon has it
			}
			return append(b, raw...)
		},
		get: func(raw []byte) (V, error) {
			var v V
			err := packed.dec.Unmarshal(raw, &v)
			return v, err
		},
	}
}
