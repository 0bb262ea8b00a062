// Package image makes the small pictures that a client requests: thumbnail, preview, the 16×16
// mini preview and avatars. It does not store them and does not know whose they are.
//
// Pictures may be hostile. So the header is read first, and a picture over the limits is refused
// before memory for its pixels is allocated. One Maker decodes two pictures at a time; other callers
// wait for their turn or for their context. One of the two slots is always kept from each caller, and
// callers take turns, so that whoever sends many large pictures delays nobody else by more than one.
// Pictures that need so much memory that two would be too many are decoded one at a time, but
// ordinary ones go on beside them. A decoder cannot be interrupted, but its reads check the deadline, so
// it ends at its next read.
//
// A picture that is not decoded (it is over the limits, or HEIC or AVIF) is still described as far as its
// header goes, and gets a placeholder: an upload is never lost because of its picture.
//
// Clients display animated GIF, PNG and WebP files directly, so that their small pictures, made of the
// first frame (of a PNG, its default image), are only for those who ask for them. An animation of too
// many frames is shown as a still picture.
//
// Invariants: the same input gives the same output (all scaling uses integers). No metadata of
// the source is in any output, in particular not the place where a photo was taken. The
// orientation is read from the EXIF of JPEG, PNG, WebP and TIFF and applied to the pixels.
package image

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/turn"
)

// The limits of a picture that can be decoded.
const (
	MaxPixels = 7680 * 4320
	MaxSide   = 16384
	MaxFrames = 1000 // of an animation
)

const (
	previewWidth = 1920
	thumbWidth   = 120
	thumbHeight  = 100
	miniSide     = 16
	quality      = 90
	slots        = 2
	timeout      = 30 * time.Second
	maxWaiting   = 256         // pictures of all callers
	maxWaitOne   = 16          // of one caller
	tireAfter    = time.Second // of one caller without a break
	maxDecoding  = 512 << 20   // bytes of all pictures being decoded, of which a huge one counts as at most all but ordinary
	ordinary     = 128 << 20   // bytes that are left for others beside a huge one
)

// Info describes a picture as displayed, that is with its orientation applied.
type Info struct {
	Width, Height int    // pixels
	Format        string // "jpeg", "png", "gif", "webp", "bmp", "tiff", "heic" or "avif"
	HasPreview    bool   // false for an animation or an AVIF, which clients display directly
	Mini          []byte // JPEG, 16×16; nil for a placeholder
}

// Set is everything that is made of one uploaded picture.
type Set struct {
	Info
	Thumbnail []byte // fits into 120×100: JPEG, or PNG if the picture is transparent
	Preview   []byte // at most 1920 wide: JPEG
}

// Maker makes small pictures. It is safe for concurrent use.
type Maker struct {
	turns  *turn.Queue         // for a slot
	memory *semaphore.Weighted // bytes that decoders may use
	who    turn.Who            // whose pictures
}

// New returns a Maker with two slots of its own.
func New() *Maker {
	return &Maker{
		turns:  turn.New(turn.Config{Places: slots, OfOne: slots - 1, Waiting: maxWaiting, WaitOne: maxWaitOne, TireAfter: tireAfter}),
		memory: semaphore.NewWeighted(maxDecoding),
	}
}

// For returns the Maker for the pictures of one caller, with the same slots.
func (m *Maker) For(who turn.Who) *Maker { return &Maker{turns: m.turns, memory: m.memory, who: who} }

// busy is the refusal if too many pictures wait.
var busy = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.pictures_busy.app_error"}

// Make reads a picture and makes its small pictures. The error is core.KindInvalid if the input
// is no picture, or is broken.
func (m *Maker) Make(ctx context.Context, r io.ReadSeeker) (Set, error) {
	var s Set
	err := m.within(ctx, r, func(ctx context.Context, r io.ReadSeeker) error {
		h, err := readHeader(r)
		long := errors.Is(err, tooLong)
		switch {
		case err == nil, long:
		case core.KindOf(err) == core.KindInvalid && h.described():
			return s.stand(h, h.name == "avif")
		default:
			return err
		}
		s.Width, s.Height, s.Format = h.size()
		err = m.decode(ctx, h, r, func(src image.Image) error { return s.fill(src, h.orientation) })
		if core.KindOf(err) == core.KindInvalid && h.frames > 1 {
			return s.stand(h, !long)
		}
		s.HasPreview = s.HasPreview && (h.frames <= 1 || long)
		return err
	})
	if err != nil {
		return Set{}, err
	}
	return s, nil
}

// within runs f in a slot, with a deadline for its reads.
func (m *Maker) within(ctx context.Context, r io.ReadSeeker, f func(context.Context, io.ReadSeeker) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	leave, err := m.turns.Enter(ctx, m.who)
	switch {
	case ctx.Err() != nil && err != nil:
		return core.AsError(ctx.Err())
	case err != nil:
		return busy.WithCause(err)
	}
	defer leave()
	err = f(ctx, limit(ctx, r))
	if ctx.Err() != nil { // whatever error the decoder made of it
		return core.AsError(ctx.Err())
	}
	return err
}

// decode waits for memory, decodes the picture, and passes it to use.
func (m *Maker) decode(ctx context.Context, h header, r io.ReadSeeker, use func(image.Image) error) error {
	weight := min(h.weight(), maxDecoding-ordinary)
	if err := m.memory.Acquire(ctx, weight); err != nil {
		return core.AsError(err)
	}
	defer m.memory.Release(weight)
	src, err := h.decode(r)
	if err != nil {
		return err
	}
	return use(src)
}

// limit makes reads fail after ctx has ended. It keeps io.ReaderAt if r has it: otherwise the
// TIFF decoder would load the whole file into memory.
func limit(ctx context.Context, r io.ReadSeeker) io.ReadSeeker {
	if at, ok := r.(io.ReaderAt); ok {
		return &limitedAt{limited{ctx, r}, at}
	}
	return &limited{ctx, r}
}

type limited struct {
	ctx context.Context
	io.ReadSeeker
}

type limitedAt struct {
	limited
	at io.ReaderAt
}

func (l *limitedAt) ReadAt(p []byte, off int64) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.at.ReadAt(p, off)
}

func (l *limited) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.ReadSeeker.Read(p)
}

// fill makes the small pictures. The large picture is read once; the others are made from the
// preview.
func (s *Set) fill(src image.Image, orientation int) error {
	w, h := fit(s.Width, s.Height, previewWidth, MaxSide)
	if orientation >= 5 { // it is scaled first and turned afterwards
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

// fit shrinks w×h to fit into a box, in proportion; it never enlarges.
func fit(w, h, boxW, boxH int) (int, int) {
	if w <= boxW && h <= boxH {
		return w, h
	}
	if w*boxH > h*boxW {
		return boxW, max(1, h*boxW/w)
	}
	return max(1, w*boxH/h), boxH
}

// encodeJPEG draws the picture on white: JPEG has no transparency.
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
