package cdn

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
)

// A digest comes back from its text, and nothing else passes for one.
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
