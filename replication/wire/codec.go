package wire

import (
	"encoding/binary"

	"github.com/nearside/nearside/core"
)

// errMalformed is the error for a body that does not match its kind.
func errMalformed(what string) error { return core.E(core.KindInvalid, "malformed %s", what) }

// decoder reads fields from a body. After a missing field it returns only zeroes, and done
// returns the error.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// uintUpTo fails on values over max.
func (d *decoder) uintUpTo(max uint64) uint64 {
	v := d.uint()
	if v > max {
		d.bad = true
		return 0
	}
	return v
}

func (d *decoder) bool() bool { return d.uintUpTo(1) == 1 }

func (d *decoder) int64() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) id16() (out [16]byte) {
	copy(out[:], d.take(16))
	return out
}

// bytes returns a part of the body, not a copy.
func (d *decoder) bytes(max int) []byte {
	return d.take(int(d.uintUpTo(uint64(max))))
}

func (d *decoder) string(max int) string { return string(d.bytes(max)) }

func (d *decoder) position() core.Position {
	return core.Position{Epoch: core.Epoch(d.uint()), Index: core.Index(d.uint()), Digest: d.id16()}
}

// done fails if a field was missing or bytes are left over.
func (d *decoder) done(what string) error {
	if d.bad || len(d.b) != 0 {
		return errMalformed(what)
	}
	return nil
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendString(b []byte, v string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendPosition(b []byte, p core.Position) []byte {
	b = binary.AppendUvarint(b, uint64(p.Epoch))
	b = binary.AppendUvarint(b, uint64(p.Index))
	return append(b, p.Digest[:]...)
}

func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }
