package image

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"runtime/debug"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/nearside/nearside/core"
)

// header is what is known about a picture before it is decoded.
type header struct {
	format
	config      image.Config
	orientation int // EXIF: 1 is upright
	frames      int
	framePixels int  // of all frames of a GIF together
	progressive bool // a JPEG of many scans, or an interlaced PNG
}

type format struct {
	name  string
	parse func(io.Reader) (image.Config, error)
	pixel func(io.Reader) (image.Image, error) // nil if there is no decoder
}

// maxShown is the largest side that is believed of a picture that is not decoded. Clients make room for it.
const maxShown = 1 << 20

// described reports whether the header says how large the picture is, whatever else is wrong with it.
func (h header) described() bool {
	w, hi := h.config.Width, h.config.Height
	return w > 0 && hi > 0 && w <= maxShown && hi <= maxShown
}

// size returns the width and height as displayed, and the format's name.
func (h header) size() (int, int, string) {
	if h.orientation >= 5 {
		return h.config.Height, h.config.Width, h.name
	}
	return h.config.Width, h.config.Height, h.name
}

// sniff detects a format by the first bytes; a file's name may be wrong.
func sniff(b []byte) (format, bool) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return format{"jpeg", jpeg.DecodeConfig, jpeg.Decode}, true
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return format{"png", png.DecodeConfig, png.Decode}, true
	case bytes.HasPrefix(b, []byte("GIF8")):
		return format{"gif", gif.DecodeConfig, gif.Decode}, true
	case bytes.HasPrefix(b, []byte("BM")):
		return format{"bmp", bmp.DecodeConfig, bmp.Decode}, true
	case bytes.HasPrefix(b, []byte("II*\x00")), bytes.HasPrefix(b, []byte("MM\x00*")):
		return format{"tiff", tiff.DecodeConfig, tiff.Decode}, true
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return format{"webp", webp.DecodeConfig, webp.Decode}, true
	}
	return heif(b)
}

// readHeader refuses pictures that cannot or must not be decoded. What it has found out about them is
// in the header all the same.
func readHeader(r io.ReadSeeker) (header, error) {
	h := header{orientation: 1, frames: 1}
	magic := make([]byte, maxBrands)
	n, err := io.ReadFull(r, magic)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return h, core.AsError(err)
	}
	var ok bool
	if h.format, ok = sniff(magic[:n]); !ok {
		return h, core.E(core.KindInvalid, "not a picture of a known format")
	}
	if err := h.readConfig(r); err != nil {
		return h, err
	}
	rest := h.readRest(r) // of pictures that are too large too: they may be turned
	if err := checkSize(h.config.Width, h.config.Height); err != nil {
		return h, err
	}
	if rest == nil && h.pixel == nil {
		return h, core.E(core.KindInvalid, "%s cannot be decoded", h.name)
	}
	return h, rest
}

func (h *header) readConfig(r io.ReadSeeker) (err error) {
	defer recovered(&err)
	if err := rewind(r); err != nil {
		return err
	}
	if h.config, err = h.parse(r); err != nil {
		return broken(h.name, err)
	}
	return nil
}

// readRest reads what the decoders' own header functions leave out.
func (h *header) readRest(r io.ReadSeeker) error {
	if err := rewind(r); err != nil {
		return err
	}
	switch h.name {
	case "jpeg":
		return h.readJPEG(bufio.NewReader(r))
	case "png":
		return h.readPNG(r)
	case "gif":
		return h.readGIF(bufio.NewReader(r))
	case "webp":
		return h.readWebP(r)
	case "tiff":
		return h.readTIFF(r)
	}
	return nil
}

// weight estimates the bytes that a decoder needs for the picture.
func (h header) weight() int64 {
	perPixel := 4
	switch m := h.config.ColorModel; {
	case m == color.GrayModel, m == color.AlphaModel:
		perPixel = 1
	case m == color.YCbCrModel:
		perPixel = 3
	case m == color.RGBA64Model, m == color.NRGBA64Model, m == color.Gray16Model:
		perPixel = 8
	}
	switch {
	case h.name == "tiff": // the decoder holds a block of any depth besides the picture
		perPixel += 8
	case h.name == "webp":
		perPixel *= 2
	case h.progressive && h.name == "jpeg": // the decoder holds four bytes for each coefficient
		perPixel *= 5
	case h.progressive:
		perPixel *= 2
	}
	return int64(perPixel) * int64(h.config.Width) * int64(h.config.Height)
}

func (h header) decode(r io.ReadSeeker) (m image.Image, err error) {
	defer recovered(&err)
	if err := rewind(r); err != nil {
		return nil, err
	}
	if h.name == "webp" && h.frames > 1 {
		m, err = firstWebP(r)
	} else {
		m, err = h.pixel(r)
	}
	if err != nil {
		return nil, broken(h.name, err)
	}
	screen := image.Rect(0, 0, h.config.Width, h.config.Height)
	if m.Bounds().Empty() || m.Bounds().Dx() > screen.Dx() || m.Bounds().Dy() > screen.Dy() {
		return nil, core.E(core.KindInvalid, "the %s has another size than its header says", h.name)
	}
	return onScreen(m, h.config.Width, h.config.Height), nil
}

// onScreen draws a picture that covers only a part of its screen, such as a GIF's frame, at its
// place.
func onScreen(m image.Image, w, h int) image.Image {
	if m.Bounds().Dx() == w && m.Bounds().Dy() == h {
		return m
	}
	screen := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(screen, m.Bounds(), m, m.Bounds().Min, draw.Src)
	return screen
}

func checkSize(w, h int) error {
	if w < 1 || h < 1 || w > MaxSide || h > MaxSide || w*h > MaxPixels {
		return core.E(core.KindInvalid, "the picture has %d×%d pixels, which is too many", w, h)
	}
	return nil
}

func rewind(r io.Seeker) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return core.AsError(fmt.Errorf("rewind a picture: %w", err))
	}
	return nil
}

func broken(format string, err error) error {
	return core.E(core.KindInvalid, "the %s is broken", format).WithCause(err)
}

// recovered turns a decoder's panic into a refusal: a hostile file must not end the process.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = core.E(core.KindInvalid, "the picture cannot be decoded").WithCause(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}
}
