package cdn

import (
	"crypto/sha256"
	"math"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
)

// A digest survives the round trip through its text, and any other text is refused.
func TestParseDigest(t *testing.T) {
	d := Digest(sha256.Sum256([]byte("bytes")))
	if got, err := ParseDigest(d.String()); err != nil || got != d {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "00", d.String() + "00", strings.Repeat("g", 64), "../" + d.String()[3:]} {
		if _, err := ParseDigest(bad); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%q gave %v", bad, err)
		}
	}
}

// A range that is accepted lies inside the blob, whatever the numbers.
func FuzzWithin(f *testing.F) {
	f.Add(int64(0), int64(-1), int64(0))
	f.Add(int64(1), int64(math.MaxInt64), int64(10))
	f.Add(int64(math.MinInt64), int64(math.MinInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, offset, length, size int64) {
		if size < 0 {
			t.Skip()
		}
		n, err := Range{Offset: offset, Length: length}.Within(size)
		if err == nil && (n < 0 || offset < 0 || n > size-offset || length >= 0 && n != length) {
			t.Errorf("offset %d length %d of %d: %d bytes", offset, length, size, n)
		}
	})
}
