package image

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"io"
	"maps"
	"slices"

	"github.com/nearside/nearside/core"
)

// The limits of a custom emoji.
const (
	MaxEmojiBytes = 512 << 10
	MaxEmojiSide  = 1028 // pixels

	emojiSide = 128
)

// Emoji makes a custom emoji of at most 128×128 pixels: a GIF with all its frames from an
// animated GIF, otherwise a PNG. Of other animations it uses the first frame.
func (m *Maker) Emoji(ctx context.Context, r io.ReadSeeker) (b []byte, mime string, err error) {
	mime = "image/png"
	err = m.within(ctx, r, func(ctx context.Context, r io.ReadSeeker) error {
		h, err := readEmoji(r)
		if err != nil {
			return err
		}
		if h.name == "gif" && h.frames > 1 {
			mime = "image/gif"
			b, err = m.animate(ctx, h, r)
			return err
		}
		return m.decode(ctx, h, r, func(src image.Image) error {
			b, err = encodePNG(fitted(h, src, emojiSide, emojiSide))
			return err
		})
	})
	if err != nil {
		return nil, "", err
	}
	return b, mime, nil
}

func readEmoji(r io.ReadSeeker) (header, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return header{}, core.AsError(err)
	}
	if size > MaxEmojiBytes {
		return header{}, core.E(core.KindTooLarge, "the emoji has more than %d bytes", MaxEmojiBytes)
	}
	if err := rewind(r); err != nil {
		return header{}, err
	}
	h, err := readHeader(r)
	if err != nil {
		return h, err
	}
	if h.config.Width > MaxEmojiSide || h.config.Height > MaxEmojiSide {
		return h, core.E(core.KindInvalid, "the emoji has %d×%d pixels, which is too many", h.config.Width, h.config.Height)
	}
	if h.framePixels > MaxPixels {
		return h, core.E(core.KindInvalid, "the animation's frames have %d pixels together, which is too many", h.framePixels)
	}
	return h, nil
}

// animate scales every frame of a GIF. It draws each frame onto the whole screen first: a partial
// frame that is scaled alone would not fit its neighbours.
func (m *Maker) animate(ctx context.Context, h header, r io.ReadSeeker) (out []byte, err error) {
	defer recovered(&err)
	weight := min(int64(h.framePixels)+h.weight(), maxDecoding)
	if err := m.memory.Acquire(ctx, weight); err != nil {
		return nil, core.AsError(err)
	}
	defer m.memory.Release(weight)
	if err := rewind(r); err != nil {
		return nil, err
	}
	g, err := gif.DecodeAll(r)
	if err != nil {
		return nil, broken("gif", err)
	}
	w, hi := fit(h.config.Width, h.config.Height, emojiSide, emojiSide)
	small := &gif.GIF{LoopCount: g.LoopCount, Config: image.Config{Width: w, Height: hi}}
	screen := image.NewRGBA(image.Rect(0, 0, h.config.Width, h.config.Height))
	for i, frame := range g.Image {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before := keepFor(g.Disposal[i], screen, frame.Rect)
		draw.Draw(screen, frame.Rect, frame, frame.Rect.Min, draw.Over)
		small.Image = append(small.Image, paletted(scale(screen, screen.Rect, w, hi)))
		small.Delay = append(small.Delay, g.Delay[i])
		small.Disposal = append(small.Disposal, gif.DisposalBackground)
		dispose(g.Disposal[i], screen, frame.Rect, before)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, small); err != nil {
		return nil, broken("gif", err)
	}
	return b.Bytes(), nil
}

// keepFor copies the area that a frame covers, if the frame's disposal method restores it later.
func keepFor(disposal byte, screen *image.RGBA, area image.Rectangle) *image.RGBA {
	if disposal != gif.DisposalPrevious {
		return nil
	}
	before := image.NewRGBA(area)
	draw.Draw(before, area, screen, area.Min, draw.Src)
	return before
}

func dispose(disposal byte, screen *image.RGBA, area image.Rectangle, before *image.RGBA) {
	switch disposal {
	case gif.DisposalBackground:
		draw.Draw(screen, area, image.Transparent, image.Point{}, draw.Src)
	case gif.DisposalPrevious:
		draw.Draw(screen, area, before, area.Min, draw.Src)
	}
}

// paletted reduces a picture to its 255 most frequent colours and one transparent colour. A GIF's
// pixel is opaque or transparent, so partial transparency is rounded.
func paletted(m *image.RGBA) *image.Paletted {
	count := map[color.RGBA]int{}
	for i := 0; i < len(m.Pix); i += 4 {
		if c, seen := solid(m.Pix[i:]); seen {
			count[c]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(packed(a), packed(b))) // maps have no order, so ties need one
	})
	p := color.Palette{color.Transparent}
	for _, c := range colors[:min(len(colors), 255)] {
		p = append(p, c)
	}
	out := image.NewPaletted(m.Rect, p)
	known := map[color.RGBA]uint8{}
	for i := range out.Pix {
		c, seen := solid(m.Pix[4*i:])
		if !seen {
			continue
		}
		k, ok := known[c]
		if !ok {
			k = uint8(1 + p[1:].Index(c))
			known[c] = k
		}
		out.Pix[i] = k
	}
	return out
}

func packed(c color.RGBA) int { return int(c.R)<<16 | int(c.G)<<8 | int(c.B) }

// solid rounds a pixel's colour to steps of eight, so that a photo has few colours.
func solid(pix []byte) (color.RGBA, bool) {
	a := int(pix[3])
	if a < 128 {
		return color.RGBA{}, false
	}
	part := func(v byte) uint8 { return uint8(min(255, int(v)*255/a)&^7) | uint8(min(255, int(v)*255/a)>>5) }
	return color.RGBA{part(pix[0]), part(pix[1]), part(pix[2]), 255}, true
}
