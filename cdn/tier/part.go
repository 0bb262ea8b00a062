package tier

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"

	"github.com/nearside/nearside/cdn"
)

// file is what a part is written to: an *os.File, except in tests of a broken disk.
type file interface {
	io.Writer
	Sync() error
}

// part is a file that is being written, by one writer.
type part struct {
	path  string
	f     *os.File
	w     file
	whole hash.Hash
	sum   xxhash.Digest // of the chunk being written
	sums  []uint64
	n     int64 // bytes written
}

func (t *Tier) newPart() (*part, error) {
	f, err := os.CreateTemp(t.cfg.Dir, "*"+partExt)
	if err != nil {
		return nil, err
	}
	p := &part{path: f.Name(), f: f, w: f, whole: sha256.New()}
	if t.onDisk != nil {
		p.w = t.onDisk(f)
	}
	p.sum.Reset()
	return p, nil
}

// Write adds content. After an error, the part's first n bytes are still valid.
func (p *part) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	b = b[:n]
	_, _ = p.whole.Write(b)
	for len(b) > 0 {
		k := min(int64(len(b)), chunk-p.n%chunk)
		_, _ = p.sum.Write(b[:k])
		p.n, b = p.n+k, b[k:]
		if p.n%chunk == 0 {
			p.endChunk()
		}
	}
	return n, err
}

func (p *part) endChunk() {
	p.sums = append(p.sums, p.sum.Sum64())
	p.sum.Reset()
}

// matches ends the last chunk and reports whether the content matches the digest.
func (p *part) matches(d cdn.Digest) bool {
	if int64(len(p.sums)) < chunks(p.n) {
		p.endChunk()
	}
	return cdn.Digest(p.whole.Sum(nil)) == d
}

// finish makes a checked part durable.
func (p *part) finish(d cdn.Digest) error {
	if _, err := p.w.Write(footer(d, p.n, p.sums)); err != nil {
		return err
	}
	return p.w.Sync()
}

// content reads what has been written so far.
func (p *part) content() io.Reader { return io.NewSectionReader(p.f, 0, p.n) }

// syncDir makes changed names durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}
