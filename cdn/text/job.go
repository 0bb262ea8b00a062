package text

import (
	"context"
	"errors"
	"io"
)

// errLimit ends an extraction that has reached a limit; the text found so far is used.
var errLimit = errors.New("a limit is reached")

// job is one extraction with its remaining budgets. It belongs to one goroutine.
type job struct {
	ctx              context.Context
	file             io.ReaderAt
	size             int64
	toRead, toUnpack int64 // bytes
}

// ReadAt reads the file while time and budget remain.
func (j *job) ReadAt(p []byte, off int64) (int, error) {
	if err := j.ctx.Err(); err != nil {
		return 0, err
	}
	if j.toRead -= int64(len(p)); j.toRead < 0 {
		return 0, errLimit
	}
	return j.file.ReadAt(p, off)
}

// whole returns a reader of the whole file.
func (j *job) whole() io.Reader { return io.NewSectionReader(j, 0, j.size) }

// unpacked counts what a decompressor delivers.
func (j *job) unpacked(r io.Reader) io.Reader { return &unpacked{j, r} }

type unpacked struct {
	*job
	r io.Reader
}

func (u *unpacked) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	if u.toUnpack <= 0 {
		return 0, errLimit
	}
	n, err := u.r.Read(p[:min(int64(len(p)), u.toUnpack)])
	u.toUnpack -= int64(n)
	return n, err
}
