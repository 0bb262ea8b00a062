package pg

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

// The binary form of COPY: a signature, flags and the length of an extension. Then for each row the
// number of its fields and, for each field, its length (-1: NULL) and its bytes. -1 instead of a number
// of fields ends the rows.
const (
	copyHeadBytes = 19
	maxFieldBytes = 64 << 20 // far more than any column of ours
)

// columnFilter passes on rows in COPY's binary form without the columns that are not kept.
type columnFilter struct {
	in    *bufio.Reader
	keep  []bool
	kept  uint16
	out   bytes.Buffer // what Read has not given yet
	begun bool
	err   error
}

func newColumnFilter(in io.Reader, keep []bool) *columnFilter {
	return &columnFilter{in: bufio.NewReaderSize(in, copyChunkBytes), keep: keep, kept: uint16(len(filtered(keep, keep)))}
}

// filtered gives the values at the kept places.
func filtered[T any](values []T, keep []bool) (out []T) {
	for i, v := range values {
		if keep[i] {
			out = append(out, v)
		}
	}
	return out
}

// Read implements io.Reader.
func (f *columnFilter) Read(p []byte) (int, error) {
	for f.out.Len() == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.err = f.next()
	}
	return f.out.Read(p)
}

// next reads the head or a row. It gives io.EOF after the end.
func (f *columnFilter) next() error {
	if !f.begun {
		f.begun = true
		return f.head()
	}
	var number [2]byte
	if _, err := io.ReadFull(f.in, number[:]); err != nil {
		return err // io.EOF too: importTable sees that the end is missing
	}
	switch n := binary.BigEndian.Uint16(number[:]); {
	case n == 0xffff:
		f.out.Write(number[:])
		if _, err := f.in.ReadByte(); err != io.EOF { // read on, so that the count behind the rows is seen
			return damaged(err, "there is more after a table's last row")
		}
		return io.EOF
	case int(n) != len(f.keep):
		return damaged(nil, "a row of %d fields", n)
	}
	f.out.Write(binary.BigEndian.AppendUint16(nil, f.kept))
	for _, keep := range f.keep {
		if err := f.field(keep); err != nil {
			return err
		}
	}
	return nil
}

func (f *columnFilter) head() error {
	if _, err := io.CopyN(&f.out, f.in, copyHeadBytes); err != nil {
		return damaged(err, "a table without a beginning")
	}
	if binary.BigEndian.Uint32(f.out.Bytes()[copyHeadBytes-4:]) != 0 {
		return damaged(nil, "a table with an extension")
	}
	return nil
}

func (f *columnFilter) field(keep bool) error {
	var size [4]byte
	if _, err := io.ReadFull(f.in, size[:]); err != nil {
		return damaged(err, "a row ends early")
	}
	n := int64(int32(binary.BigEndian.Uint32(size[:])))
	if n > maxFieldBytes {
		return damaged(nil, "a field of %d bytes", n)
	}
	to := io.Discard
	if keep {
		to = &f.out
		f.out.Write(size[:])
	}
	if _, err := io.CopyN(to, f.in, max(n, 0)); err != nil {
		return damaged(err, "a row ends early")
	}
	return nil
}
