package tier

import (
	"bytes"
	"testing"

	"github.com/nearside/nearside/cdn"
)

// A blob reads the same, whether it is missed, kept or in memory, whole or in parts, whatever its
// size.
func TestGet_MissedKeptHot_SameBytes(t *testing.T) {
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3*chunk + 17} {
		o := newOrigin()
		c := started(t, o)
		d, b := o.add(1, size)
		wantRead(t, c, d, b)
		if err := c.Warm(t.Context(), d); err != nil { // the fill may be in the middle of its fsync
			t.Fatal(err)
		}
		for range 4 {
			wantRead(t, c, d, b)
			for _, r := range []cdn.Range{{Offset: int64(size / 2), Length: -1}, {Offset: int64(size / 3), Length: int64(size / 2)}, {Offset: int64(size), Length: 0}} {
				end := int64(size)
				if r.Length >= 0 {
					end = r.Offset + r.Length
				}
				if got, err := read(t, c, d, r); err != nil || !bytes.Equal(got, b[r.Offset:end]) {
					t.Fatalf("size %d range %v: %d bytes, %v", size, r, len(got), err)
				}
			}
		}
		if s := c.Stats(); s.Fills != 1 || s.Files != 1 || s.Bytes != fileBytes(int64(size)) || size > 0 && s.MemoryBytes == 0 {
			t.Errorf("size %d: %+v", size, s)
		}
	}
}
