package applytest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
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
		b = binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
		if _, err := z.Write(append(b, e.Data...)); err != nil {
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
		var head [8 + 8 + 16 + 16 + 4]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		e := core.Entry{Index: core.Index(binary.BigEndian.Uint64(head[:])), At: time.Unix(0, int64(binary.BigEndian.Uint64(head[8:])))}
		copy(e.ID[:], head[16:])
		copy(e.Scope.Team[:], head[32:])
		e.Data = make([]byte, binary.BigEndian.Uint32(head[48:]))
		if _, err := io.ReadFull(r, e.Data); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
}
