package assets

import (
	"bytes"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// coding is a content coding of HTTP.
type coding struct {
	name, suffix string
	pack         func(io.Writer) (io.WriteCloser, error)
	unpack       func(io.Reader) (io.ReadCloser, error)
}

// codings are in our order of preference: the smallest result first. Each level is the highest
// that compresses a few megabytes while a client waits.
var codings = [...]coding{
	{"br", ".br",
		func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriterLevel(w, 9), nil },
		func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(brotli.NewReader(r)), nil }},
	{"zstd", ".zst",
		func(w io.Writer) (io.WriteCloser, error) {
			// Browsers support windows of at most 8 MB.
			return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
		},
		func(r io.Reader) (io.ReadCloser, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		}},
	{"gzip", ".gz",
		func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestCompression) },
		func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
}

// packed returns plain in a coding.
func (c coding) packed(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := c.pack(&b)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil { // writes the buffered rest
		return nil, err
	}
	return b.Bytes(), nil
}
