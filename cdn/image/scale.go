package image

import (
	"image"
	"image/color"
	"image/draw"
)

// scale scales the part r of src to w×h pixels, each the mean of the pixels it covers. It needs
// memory only for its output and one row of sums: a kernel scaler would keep a column of floats
// for each source row.
func scale(src image.Image, r image.Rectangle, w, h int) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	if r.Dx() == w && r.Dy() == h {
		draw.Draw(dst, dst.Bounds(), src, r.Min, draw.Src)
		return dst
	}
	add, mean := adder(src)
	columns := make([]span, w)
	for x := range columns {
		columns[x] = spanOf(x, w, r.Min.X, r.Dx())
	}
	sums := make([]sum, w)
	for y := range h {
		clear(sums)
		rows := spanOf(y, h, r.Min.Y, r.Dy())
		for sy := rows.from; sy < rows.to; sy++ {
			add(sy, columns, sums)
		}
		line := dst.Pix[y*dst.Stride:]
		for x := range sums {
			c := mean(sums[x], uint64((rows.to-rows.from)*(columns[x].to-columns[x].from)))
			line[4*x], line[4*x+1], line[4*x+2], line[4*x+3] = c.R, c.G, c.B, c.A
		}
	}
	return dst
}

// span is a part of a row or column.
type span struct{ from, to int }

// spanOf returns the part of the source for the i-th of n pixels, at least one pixel.
func spanOf(i, n, start, size int) span {
	from, to := i*size/n, (i+1)*size/n
	return span{start + from, start + max(to, from+1)}
}

// sum adds up the pixels under one output pixel, in the source's colour model.
type sum [4]uint64

// adder returns a function that adds one row of a picture to sums, and one that converts a sum
// into the mean colour. The usual picture types are read from their bytes: through the interface
// a photo takes ten times as long.
func adder(m image.Image) (add func(y int, columns []span, sums []sum), mean func(s sum, n uint64) color.RGBA) {
	switch m := m.(type) {
	case *image.YCbCr:
		return addYCbCr(m), func(s sum, n uint64) color.RGBA {
			r, g, b := color.YCbCrToRGB(rounded(s[0], n), rounded(s[1], n), rounded(s[2], n))
			return color.RGBA{r, g, b, 255}
		}
	case *image.RGBA:
		return addRGBA(m), meanOf8
	case *image.Gray:
		return addGray(m), meanOf8
	}
	return addAny(m), func(s sum, n uint64) color.RGBA { return meanOf8(s, n<<8) }
}

func rounded(s, n uint64) uint8 { return uint8((s + n/2) / n) }

func meanOf8(s sum, n uint64) color.RGBA {
	return color.RGBA{uint8(s[0] / n), uint8(s[1] / n), uint8(s[2] / n), uint8(s[3] / n)}
}

// addYCbCr adds before the colours are converted, which gives the same mean.
func addYCbCr(m *image.YCbCr) func(int, []span, []sum) {
	return func(y int, columns []span, sums []sum) {
		luma := m.Y[m.YOffset(m.Rect.Min.X, y):]
		chroma := m.COffset(m.Rect.Min.X, y)
		shift, first := 0, m.Rect.Min.X
		switch m.SubsampleRatio {
		case image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420:
			shift = 1
		case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410:
			shift = 2
		}
		cb, cr := m.Cb[chroma:], m.Cr[chroma:]
		for i, c := range columns {
			var l, b, r uint64
			for x := c.from; x < c.to; x++ {
				k := x>>shift - first>>shift
				l, b, r = l+uint64(luma[x-first]), b+uint64(cb[k]), r+uint64(cr[k])
			}
			s := &sums[i]
			s[0], s[1], s[2] = s[0]+l, s[1]+b, s[2]+r
		}
	}
}

func addRGBA(m *image.RGBA) func(int, []span, []sum) {
	return func(y int, columns []span, sums []sum) {
		for i, c := range columns {
			s := &sums[i]
			row := m.Pix[m.PixOffset(c.from, y) : m.PixOffset(c.to-1, y)+4]
			for ; len(row) >= 4; row = row[4:] {
				s[0], s[1], s[2], s[3] = s[0]+uint64(row[0]), s[1]+uint64(row[1]), s[2]+uint64(row[2]), s[3]+uint64(row[3])
			}
		}
	}
}

func addGray(m *image.Gray) func(int, []span, []sum) {
	return func(y int, columns []span, sums []sum) {
		for i, c := range columns {
			var l uint64
			for _, v := range m.Pix[m.PixOffset(c.from, y) : m.PixOffset(c.to-1, y)+1] {
				l += uint64(v)
			}
			s := &sums[i]
			s[0], s[1], s[2], s[3] = s[0]+l, s[1]+l, s[2]+l, s[3]+255*uint64(c.to-c.from)
		}
	}
}

func addAny(m image.Image) func(int, []span, []sum) {
	at := reader(m)
	return func(y int, columns []span, sums []sum) {
		for i, c := range columns {
			s := &sums[i]
			for x := c.from; x < c.to; x++ {
				p := at(x, y)
				s[0], s[1], s[2], s[3] = s[0]+uint64(p.R), s[1]+uint64(p.G), s[2]+uint64(p.B), s[3]+uint64(p.A)
			}
		}
	}
}

// reader avoids an allocation for each pixel if the picture's type allows it.
func reader(m image.Image) func(x, y int) color.RGBA64 {
	if m, ok := m.(image.RGBA64Image); ok {
		return m.RGBA64At
	}
	return func(x, y int) color.RGBA64 {
		r, g, b, a := m.At(x, y).RGBA()
		return color.RGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)}
	}
}

// orient turns a picture by its EXIF orientation, 1 to 8.
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
