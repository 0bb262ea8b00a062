package image

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/nearside/nearside/core"
)

// header is what is known of a picture before it is decoded.
type header struct {
	format
	config      image.Config
	orientation int // EXIF: 1 is upright
	frames      int
}

type format struct {
	name  string
	parse func(io.Reader) (image.Config, error)
	pixel func(io.Reader) (image.Image, error)
}

// size gives width and height as seen, and the format's name.
func (h header) size() (int, int, string) {
	if h.orientation >= 5 {
		return h.config.Height, h.config.Width, h.name
	}
	return h.config.Width, h.config.Height, h.name
}

// sniff knows a format by its first bytes; a file's name may say anything.
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
	return format{}, false
}

// readHeader refuses what must not be decoded.
func readHeader(r io.ReadSeeker) (header, error) {
	h := header{orientation: 1, frames: 1}
	magic := make([]byte, 12)
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
	if err := checkSize(h.config.Width, h.config.Height); err != nil {
		return h, err
	}
	return h, h.readRest(r)
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

// readRest reads what the decoders' headers leave out.
func (h *header) readRest(r io.ReadSeeker) error {
	if err := rewind(r); err != nil {
		return err
	}
	var err error
	switch h.name {
	case "jpeg":
		h.orientation = orientationOf(bufio.NewReader(r))
	case "gif":
		h.frames, err = countFrames(bufio.NewReader(r))
	case "webp":
		err = checkWebP(r)
	}
	return err
}

func (h header) decode(r io.ReadSeeker) (m image.Image, err error) {
	defer recovered(&err)
	if err := rewind(r); err != nil {
		return nil, err
	}
	if m, err = h.pixel(r); err != nil {
		return nil, broken(h.name, err)
	}
	if m.Bounds().Empty() || m.Bounds().Dx() > h.config.Width || m.Bounds().Dy() > h.config.Height {
		return nil, core.E(core.KindInvalid, "a %s that is not of its size", h.name)
	}
	return onScreen(m, h.config.Width, h.config.Height), nil
}

// onScreen puts a picture that is a part of its screen, as a GIF's frame may be, at its place.
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
		return core.E(core.KindInvalid, "a picture of %d×%d pixels", w, h).WithID(OverLimits)
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
	return core.E(core.KindInvalid, "a broken %s", format).WithCause(err)
}

// recovered makes a decoder's panic a refusal: strangers' bytes must not end the process.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = core.E(core.KindInvalid, "a picture that cannot be decoded").WithCause(fmt.Errorf("panic: %v", p))
	}
}

// countFrames walks a GIF's blocks without unpacking them. What is broken counts as far as it
// goes; the decoder will say more.
func countFrames(r *bufio.Reader) (int, error) {
	head := make([]byte, 13)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, broken("gif", err)
	}
	skipTable(r, head[10])
	frames := 0
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil || c == ';':
			return frames, nil
		case c == '!':
			_, _ = r.Discard(1)
		case c == ',':
			if frames++; frames > MaxFrames {
				return frames, core.E(core.KindInvalid, "an animation of more than %d frames", MaxFrames).WithID(OverLimits)
			}
			desc := make([]byte, 9)
			if _, err := io.ReadFull(r, desc); err != nil {
				return frames, nil
			}
			skipTable(r, desc[8])
			_, _ = r.Discard(1)
		default:
			return frames, nil
		}
		skipBlocks(r)
	}
}

func skipTable(r *bufio.Reader, flags byte) {
	if flags&0x80 != 0 {
		_, _ = r.Discard(3 << (flags&7 + 1))
	}
}

func skipBlocks(r *bufio.Reader) {
	for {
		n, err := r.ReadByte()
		if err != nil || n == 0 {
			return
		}
		_, _ = r.Discard(int(n))
	}
}

// checkWebP looks at the sizes inside the chunks: the container's own may be another.
func checkWebP(r io.ReadSeeker) error {
	if _, err := r.Seek(12, io.SeekStart); err != nil {
		return core.AsError(err)
	}
	for range 64 {
		b := make([]byte, 18)
		n, err := io.ReadFull(r, b)
		if n < 8 {
			return nil
		}
		w, h, ok := webpSize(b[:n])
		if ok {
			return checkSize(w, h)
		}
		if err != nil {
			return nil
		}
		size := int64(binary.LittleEndian.Uint32(b[4:]))
		if _, err := r.Seek(8+size+size&1-int64(n), io.SeekCurrent); err != nil {
			return core.AsError(err)
		}
	}
	return core.E(core.KindInvalid, "a webp of too many parts")
}

func webpSize(b []byte) (w, h int, ok bool) {
	if string(b[:4]) == "VP8 " && len(b) == 18 {
		return int(binary.LittleEndian.Uint16(b[14:]) & 0x3fff), int(binary.LittleEndian.Uint16(b[16:]) & 0x3fff), true
	}
	if string(b[:4]) == "VP8L" && len(b) >= 13 {
		v := binary.LittleEndian.Uint32(b[9:])
		return int(v&0x3fff) + 1, int(v>>14&0x3fff) + 1, true
	}
	return 0, 0, false
}

// orientationOf finds the EXIF orientation of a JPEG; 1 when there is none.
func orientationOf(r *bufio.Reader) int {
	_, _ = r.Discard(2)
	for {
		seg := make([]byte, 4)
		if _, err := io.ReadFull(r, seg); err != nil || seg[0] != 0xff || seg[1] == 0xda {
			return 1
		}
		n := int(binary.BigEndian.Uint16(seg[2:])) - 2
		if n < 0 {
			return 1
		}
		if seg[1] != 0xe1 {
			_, _ = r.Discard(n)
			continue
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return 1
		}
		if t, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00")); ok {
			return exifOrientation(t)
		}
	}
}

// exifOrientation reads tag 0x0112 of the first directory.
func exifOrientation(b []byte) int {
	var order binary.ByteOrder = binary.BigEndian
	if bytes.HasPrefix(b, []byte("II")) {
		order = binary.LittleEndian
	}
	if len(b) < 8 {
		return 1
	}
	at := int(order.Uint32(b[4:]))
	if at < 8 || at > len(b)-2 {
		return 1
	}
	count := int(order.Uint16(b[at:]))
	for at += 2; count > 0 && at+12 <= len(b); at, count = at+12, count-1 {
		if o := int(order.Uint16(b[at+8:])); order.Uint16(b[at:]) == 0x0112 && o >= 1 && o <= 8 {
			return o
		}
	}
	return 1
}
