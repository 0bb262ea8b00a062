package tier

import (
	"io"
	"os"
	"testing"

	"github.com/nearside/nearside/cdn"
)

// BenchmarkHit reads a kept megabyte, checked; /file is the same file read plainly.
func BenchmarkHit(b *testing.B) {
	o := &origin{blobs: map[cdn.Digest][]byte{}}
	c, _ := New(Config{Dir: b.TempDir(), MaxBytes: 4 << 20, MaxFiles: 4, Origin: o})
	d := o.put(1<<20, 7)
	open := map[string]func() (io.ReadCloser, error){
		"tier": func() (io.ReadCloser, error) { return c.Get(b.Context(), d, cdn.Whole) },
		"file": func() (io.ReadCloser, error) { return os.Open(c.path(d)) },
	}
	for _, name := range []string{"tier", "file"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(1 << 20)
			for b.Loop() {
				r, err := open[name]()
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 256<<10))
				_ = r.Close()
			}
		})
	}
}
