package applytest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/nearside/nearside/core"
)

// PackHistory gives the file form of a recorded log.
func PackHistory(entries []core.Entry) ([]byte, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var b []byte
		b = binary.BigEndian.AppendUint64(b, uint64(e.Index))
		b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixNano()))
		b = append(b, e.ID[:]...)
		b = append(b, e.Scope.Team[:]...)
		b = append(b, byte(len(e.Sealed)))
		for _, v := range append(slices.Clone(e.Sealed), e.Data) {
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, v...)
		}
		if _, err := z.Write(b); err != nil {
			return nil, err
		}
	}
	err = z.Close()
	return packed.Bytes(), err
}

// ReadHistory reads a recorded log.
func ReadHistory(file string) (out []core.Entry, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(z)
	for {
		var head [8 + 8 + 16 + 16 + 1]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		e := core.Entry{Index: core.Index(binary.BigEndian.Uint64(head[:])), At: time.Unix(0, int64(binary.BigEndian.Uint64(head[8:])))}
		copy(e.ID[:], head[16:])
		copy(e.Scope.Team[:], head[32:])
		for range head[48] {
			v, err := readPart(r)
			if err != nil {
				return nil, err
			}
			e.Sealed = append(e.Sealed, v)
		}
		if e.Data, err = readPart(r); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
}

// readPart reads bytes after their length.
func readPart(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	part := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, part)
	return part, err
}
