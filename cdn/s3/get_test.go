package s3

import (
	"crypto/sha256"
	"math"
	"strings"
	"testing"

	"github.com/nearside/nearside/cdn"
)

func digestOf(b []byte) cdn.Digest { return sha256.Sum256(b) }

// A size is read from a Content-Range only if it is well-formed and begins at the requested
// offset.
func TestTotal(t *testing.T) {
	for text, want := range map[string]int64{
		"bytes 5-9/100": 100, "bytes 5-5/6": 6, "bytes 5-9/*": -1, "bytes 4-9/100": -1, "bytes */100": -1, "": -1, "bytes 5-9": -1,
		"bytes 5/100": -1, "bytes 5-9/-1": -1, "bytes 5-9/4": -1, "bytes 5-9/99999999999999999999": -1, "bytes 5-9/9223372036854775807": math.MaxInt64,
	} {
		if got := total(text, 5); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// Whatever a store answers, an accepted size is not smaller than the offset.
func FuzzTotal(f *testing.F) {
	f.Add("bytes 5-9/100", int64(5))
	f.Add("bytes */0", int64(0))
	f.Add("bytes -1-2/3", int64(-1))
	f.Fuzz(func(t *testing.T, text string, offset int64) {
		if n := total(text, offset); n < -1 || n >= 0 && n < offset {
			t.Errorf("%q at %d: %d", text, offset, n)
		}
	})
}

// An object's name is accepted only if it is exactly the name of that blob.
func FuzzDigest(f *testing.F) {
	s := &Store{cfg: Config{Prefix: "p/"}}
	f.Add(s.name(digestOf(nil)))
	f.Add("p/" + strings.ToUpper(s.name(digestOf(nil))[2:]))
	f.Add("p/00/00/")
	f.Fuzz(func(t *testing.T, name string) {
		if d, ok := s.digest(name); ok && s.name(d) != name {
			t.Errorf("%q is not the name of %v", name, d)
		}
	})
}
