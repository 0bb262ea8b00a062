// Package image makes the small pictures a client asks for: thumbnail, preview, the 16×16 mini
// preview and avatars. It does not store them and does not know whose they are.
//
// Pictures come from strangers, so the header is read first and a picture over the limits is
// refused before anything the size of its pixels is allocated. One Maker decodes two at a
// time; the other callers wait for a slot or for their context. A decoder cannot be stopped in
// the middle, but it reads through the deadline, so it ends at its next read.
//
// Invariants: the same bytes in give the same bytes out (all scaling is in integers); nothing
// of the source's metadata, so no place of a photo, is in any output.
package image

import (
	"bytes"
	"context"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	"github.com/nearside/nearside/core"
)

// The limits of a picture that is decoded.
const (
	MaxPixels = 7680 * 4320
	MaxSide   = 16384
	MaxFrames = 1000 // of an animation
)

// OverLimits is the error id of a picture that is over the limits. One that is merely broken has
// none: it may be kept as a file like any other.
const OverLimits = "api.file.upload_file.large_image_detailed.app_error"

const (
	previewWidth = 1920
	thumbWidth   = 120
	thumbHeight  = 100
	miniSide     = 16
	quality      = 90
	slots        = 2
	timeout      = 30 * time.Second
)

// Info describes a picture as it is seen, so after its orientation is applied.
type Info struct {
	Width, Height int    // pixels
	Format        string // "jpeg", "png", "gif", "webp", "bmp" or "tiff"
	HasPreview    bool   // false for an animation, which is shown as it is
	Mini          []byte // JPEG, 16×16; nil without a preview
}

// Set is everything made of one uploaded picture.
type Set struct {
	Info
	Thumbnail []byte // fits 120×100: JPEG, or PNG when the picture is transparent
	Preview   []byte // at most 1920 wide: JPEG
}

// Maker makes pictures; it is safe for concurrent use.
type Maker struct {
	slots chan struct{} // a token in it is a picture in memory
}

// New gives a Maker with its own two slots.
func New() *Maker { return &Maker{slots: make(chan struct{}, slots)} }

// Make reads a picture and makes all its small ones. What is no picture, a broken one or one
// over the limits gives core.KindInvalid.
func (m *Maker) Make(ctx context.Context, r io.ReadSeeker) (Set, error) {
	var s Set
	err := m.within(ctx, r, func(r io.ReadSeeker) error {
		h, err := readHeader(r)
		if err != nil {
			return err
		}
		s.Width, s.Height, s.Format = h.size()
		if h.frames > 1 {
			return nil
		}
		src, err := h.decode(r)
		if err != nil {
			return err
		}
		return s.fill(src, h.orientation)
	})
	if err != nil {
		return Set{}, err
	}
	return s, nil
}

// Square cuts the middle of a picture to n×n pixels, as PNG: an avatar.
func (m *Maker) Square(ctx context.Context, r io.ReadSeeker, n int) ([]byte, error) {
	if n < 1 || n > previewWidth {
		return nil, core.E(core.KindInvalid, "an avatar of %d pixels", n)
	}
	var out []byte
	err := m.within(ctx, r, func(r io.ReadSeeker) error {
		h, err := readHeader(r)
		if err != nil {
			return err
		}
		src, err := h.decode(r)
		if err != nil {
			return err
		}
		b := src.Bounds()
		side := min(b.Dx(), b.Dy())
		x, y := b.Min.X+(b.Dx()-side)/2, b.Min.Y+(b.Dy()-side)/2
		out, err = encodePNG(orient(scale(src, image.Rect(x, y, x+side, y+side), n, n), h.orientation))
		return err
	})
	return out, err
}

// within runs f in a slot, with a deadline on its reads.
func (m *Maker) within(ctx context.Context, r io.ReadSeeker, f func(io.ReadSeeker) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return core.AsError(ctx.Err())
	}
	err := f(&limited{ctx, r})
	if ctx.Err() != nil { // whatever the decoder made of it
		return core.AsError(ctx.Err())
	}
	return err
}

// limited ends reads when its context does.
type limited struct {
	ctx context.Context
	io.ReadSeeker
}

func (l *limited) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.ReadSeeker.Read(p)
}

// fill makes the outputs; the large picture is walked once, the others come from the preview.
func (s *Set) fill(src image.Image, orientation int) error {
	w, h := fit(s.Width, s.Height, previewWidth, MaxSide)
	if orientation >= 5 { // scaled as it lies, then turned
		w, h = h, w
	}
	preview := orient(scale(src, src.Bounds(), w, h), orientation)
	w, h = fit(s.Width, s.Height, thumbWidth, thumbHeight)
	thumb := scale(preview, preview.Bounds(), w, h)
	mini := scale(preview, preview.Bounds(), miniSide, miniSide)
	encode := encodeJPEG
	if !preview.Opaque() {
		encode = encodePNG
	}
	var err error
	if s.Thumbnail, err = encode(thumb); err != nil {
		return err
	}
	if s.Preview, err = encodeJPEG(preview); err != nil {
		return err
	}
	s.Mini, err = encodeJPEG(mini)
	s.HasPreview = err == nil
	return err
}

// fit shrinks w×h into a box and keeps its shape; it never enlarges.
func fit(w, h, boxW, boxH int) (int, int) {
	if w <= boxW && h <= boxH {
		return w, h
	}
	if w*boxH > h*boxW {
		return boxW, max(1, h*boxW/w)
	}
	return max(1, w*boxH/h), boxH
}

// encodeJPEG puts the picture on white: JPEG knows no transparency.
func encodeJPEG(m *image.RGBA) ([]byte, error) {
	if !m.Opaque() {
		flat := image.NewRGBA(m.Bounds())
		draw.Draw(flat, flat.Bounds(), image.White, image.Point{}, draw.Src)
		draw.Draw(flat, flat.Bounds(), m, image.Point{}, draw.Over)
		m = flat
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		return nil, core.AsError(err)
	}
	return b.Bytes(), nil
}

func encodePNG(m *image.RGBA) ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return nil, core.AsError(err)
	}
	return b.Bytes(), nil
}
