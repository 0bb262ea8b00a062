package image

import (
	"image"
	"image/color"
	"image/draw"
)

// scale gives the part r of src in w×h pixels, each the mean of what it covers. It holds no
// more than its output: a kernel scaler would keep a column of floats for each source row.
func scale(src image.Image, r image.Rectangle, w, h int) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	if r.Dx() == w && r.Dy() == h {
		draw.Draw(dst, dst.Bounds(), src, r.Min, draw.Src)
		return dst
	}
	at := reader(src)
	for y := range h {
		y0, y1 := span(y, h, r.Min.Y, r.Dy())
		for x := range w {
			x0, x1 := span(x, w, r.Min.X, r.Dx())
			dst.SetRGBA(x, y, mean(at, image.Rect(x0, y0, x1, y1)))
		}
	}
	return dst
}

// span is the source's part of the i-th of n pixels, at least one pixel.
func span(i, n, start, size int) (int, int) {
	from, to := i*size/n, (i+1)*size/n
	return start + from, start + max(to, from+1)
}

func mean(at func(x, y int) color.RGBA64, area image.Rectangle) color.RGBA {
	var r, g, b, a uint64
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c := at(x, y)
			r, g, b, a = r+uint64(c.R), g+uint64(c.G), b+uint64(c.B), a+uint64(c.A)
		}
	}
	n := uint64(area.Dx()*area.Dy()) << 8
	return color.RGBA{R: uint8(r / n), G: uint8(g / n), B: uint8(b / n), A: uint8(a / n)}
}

// reader avoids an allocation for each pixel where the picture's type lets it.
func reader(m image.Image) func(x, y int) color.RGBA64 {
	if m, ok := m.(image.RGBA64Image); ok {
		return m.RGBA64At
	}
	return func(x, y int) color.RGBA64 {
		r, g, b, a := m.At(x, y).RGBA()
		return color.RGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)}
	}
}

// orient turns a picture as EXIF's orientation 1 to 8 asks.
func orient(m *image.RGBA, o int) *image.RGBA {
	if o <= 1 || o > 8 {
		return m
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	outW, outH := w, h
	if o >= 5 {
		outW, outH = h, w
	}
	dst := image.NewRGBA(image.Rect(0, 0, outW, outH))
	for y := range outH {
		for x := range outW {
			sx, sy := x, y
			if o >= 5 {
				sx, sy = y, x
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				sx = w - 1 - sx
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				sy = h - 1 - sy
			}
			dst.SetRGBA(x, y, m.RGBAAt(sx, sy))
		}
	}
	return dst
}
