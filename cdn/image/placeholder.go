package image

import (
	"image"
	"image/color"
	"image/draw"
)

const placeholderSide = 480

var (
	placeholderGround = color.RGBA{0xe4, 0xe6, 0xe9, 0xff}
	placeholderHill   = color.RGBA{0xb4, 0xb9, 0xc0, 0xff}
)

// stand describes a picture that is not decoded, and makes a placeholder with its proportions. direct says
// that clients can show it themselves. They are not asked to if it is over the limits.
func (s *Set) stand(h header, direct bool) error {
	s.Width, s.Height, s.Format = h.size()
	s.HasPreview = !direct || checkSize(h.config.Width, h.config.Height) != nil
	w, hi := fit(s.Width, s.Height, placeholderSide, placeholderSide)
	var err error
	if s.Preview, err = encodeJPEG(placeholder(w, hi)); err != nil {
		return err
	}
	w, hi = fit(s.Width, s.Height, thumbWidth, thumbHeight)
	s.Thumbnail, err = encodeJPEG(placeholder(w, hi))
	return err
}

// placeholder draws a hill on a plain ground.
func placeholder(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Rect, image.NewUniform(placeholderGround), image.Point{}, draw.Src)
	side := min(w, h) / 2
	left, bottom := (w-side)/2, (h+side/2)/2
	for y := range side / 2 {
		line := image.Rect(left+y, bottom-y-1, left+side-y, bottom-y)
		draw.Draw(m, line, image.NewUniform(placeholderHill), image.Point{}, draw.Src)
	}
	return m
}
