package image

import (
	"hash/fnv"
	"image"
	"image/color"
	"image/draw"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/nearside/nearside/core"
)

// Initials draws a default avatar of n×n pixels, as PNG: at most two initials of name, on a
// colour that depends only on the user's id, so it stays when the name changes.
func Initials(id, name string, n int) ([]byte, error) {
	if n < 1 || n > 1024 {
		return nil, core.E(core.KindInvalid, "an avatar cannot have %d pixels a side", n)
	}
	f, err := opentype.Parse(gobold.TTF)
	if err != nil {
		return nil, core.AsError(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: float64(n) * 0.45, DPI: 72})
	if err != nil {
		return nil, core.AsError(err)
	}
	m := image.NewRGBA(image.Rect(0, 0, n, n))
	draw.Draw(m, m.Rect, image.NewUniform(colorOf(id)), image.Point{}, draw.Src)
	text := initials(name)
	d := font.Drawer{Dst: m, Src: image.White, Face: face}
	d.Dot = fixed.Point26_6{
		X: (fixed.I(n) - d.MeasureString(text)) / 2,
		Y: (fixed.I(n) + face.Metrics().CapHeight) / 2,
	}
	d.DrawString(text)
	return encodePNG(m)
}

// initials returns the first letters of the first and the last word.
func initials(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 {
		return "?"
	}
	text := first(words[0])
	if len(words) > 1 {
		text += first(words[len(words)-1])
	}
	return text
}

func first(word string) string {
	r, _ := utf8.DecodeRuneInString(word)
	return string(unicode.ToUpper(r))
}

// colorOf returns a colour that is dark enough for white letters.
func colorOf(id string) color.RGBA {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	v := h.Sum32()
	return color.RGBA{R: uint8(40 + v%120), G: uint8(40 + (v>>8)%120), B: uint8(40 + (v>>16)%120), A: 255}
}
