package image

import (
	"bytes"
	"image"
	"image/png"
	"testing"
)

// A default avatar has the asked size, white letters, the id's colour, and the same bytes each time.
func TestInitials_AreTheSameForAUser(t *testing.T) {
	b := must[[]byte](t)(Initials("u1", "Ada Lovelace", 128))
	m := must[image.Image](t)(png.Decode(bytes.NewReader(b)))
	white := 0
	for i := range 128 * 128 {
		if near(m.At(i%128, i/128)) == "W" {
			white++
		}
	}
	if m.Bounds().Dx() != 128 || m.Bounds().Dy() != 128 || white < 500 {
		t.Errorf("%v with %d white pixels", m.Bounds(), white)
	}
	if !bytes.Equal(b, must[[]byte](t)(Initials("u1", "Ada Lovelace", 128))) {
		t.Error("differs the second time")
	}
	if bytes.Equal(b, must[[]byte](t)(Initials("u2", "Ada Lovelace", 128))) {
		t.Error("two users look the same")
	}
}

// Initials come from the first and the last word, whatever stands between them.
func TestInitials_OfNames(t *testing.T) {
	for name, want := range map[string]string{"": "?", "ada": "A", "ada.b.lovelace": "AL", "élan": "É", "...": "?"} {
		if got := initials(name); got != want {
			t.Errorf("%q gives %q, not %q", name, got, want)
		}
	}
}
