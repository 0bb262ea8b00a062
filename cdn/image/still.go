package image

import (
	"context"
	"image"
	"io"

	"github.com/nearside/nearside/core"
)

// The largest size of a deployment's picture.
const (
	brandWidth  = 1920
	brandHeight = 1080
)

// Square cuts a square from the middle of a picture and scales it to n×n pixels, as PNG: an
// avatar.
func (m *Maker) Square(ctx context.Context, r io.ReadSeeker, n int) ([]byte, error) {
	return m.square(ctx, r, n, func(int) int { return n })
}

// Icon cuts a square from the middle of a picture and scales it to at most n×n pixels, as PNG: a
// team's icon. It does not enlarge.
func (m *Maker) Icon(ctx context.Context, r io.ReadSeeker, n int) ([]byte, error) {
	return m.square(ctx, r, n, func(side int) int { return min(side, n) })
}

// Brand fits a picture into 1920×1080 pixels, as PNG: the picture beside the login form. It does
// not enlarge.
func (m *Maker) Brand(ctx context.Context, r io.ReadSeeker) ([]byte, error) {
	return m.still(ctx, r, func(h header, src image.Image) *image.RGBA {
		return fitted(h, src, brandWidth, brandHeight)
	})
}

func (m *Maker) square(ctx context.Context, r io.ReadSeeker, n int, size func(side int) int) ([]byte, error) {
	if n < 1 || n > previewWidth {
		return nil, core.E(core.KindInvalid, "a square cannot have %d pixels a side", n)
	}
	return m.still(ctx, r, func(h header, src image.Image) *image.RGBA {
		b := src.Bounds()
		side := min(b.Dx(), b.Dy())
		x, y := b.Min.X+(b.Dx()-side)/2, b.Min.Y+(b.Dy()-side)/2
		return orient(scale(src, image.Rect(x, y, x+side, y+side), size(side), size(side)), h.orientation)
	})
}

// still makes a PNG of a picture or of an animation's first frame.
func (m *Maker) still(ctx context.Context, r io.ReadSeeker, draw func(header, image.Image) *image.RGBA) (out []byte, err error) {
	err = m.within(ctx, r, func(ctx context.Context, r io.ReadSeeker) error {
		h, err := readHeader(r)
		if err != nil {
			return err
		}
		return m.decode(ctx, h, r, func(src image.Image) error {
			out, err = encodePNG(draw(h, src))
			return err
		})
	})
	return out, err
}

// fitted scales a picture to fit into a box and applies its orientation.
func fitted(h header, src image.Image, boxW, boxH int) *image.RGBA {
	seenW, seenH, _ := h.size()
	w, hi := fit(seenW, seenH, boxW, boxH)
	if h.orientation >= 5 { // it is scaled first and turned afterwards
		w, hi = hi, w
	}
	return orient(scale(src, src.Bounds(), w, hi), h.orientation)
}
