package image

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/draw"
	"io"

	"golang.org/x/image/webp"

	"github.com/nearside/nearside/core"
)

// eachChunk reads the chunks of a WebP; each may read a chunk's body.
func eachChunk(r io.ReadSeeker, each func(name string, size int64) (more bool, err error)) error {
	at := int64(12)
	for range maxChunks {
		if _, err := r.Seek(at, io.SeekStart); err != nil {
			return core.AsError(err)
		}
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil
		}
		size := int64(binary.LittleEndian.Uint32(b[4:]))
		if more, err := each(string(b[:4]), size); err != nil || !more {
			return err
		}
		at += 8 + size + size&1
	}
	return core.E(core.KindInvalid, "the webp has too many chunks")
}

// readWebP counts frames, finds the orientation, and checks the sizes inside the chunks: the
// container may give another size.
func (h *header) readWebP(r io.ReadSeeker) error {
	frames, metadata := 0, false
	err := eachChunk(r, func(name string, size int64) (bool, error) {
		var b [10]byte
		switch name {
		case "VP8X":
			_, err := io.ReadFull(r, b[:])
			metadata = err == nil && b[0]&(1<<1|1<<3) != 0 // an animation, or EXIF
		case "VP8 ", "VP8L":
			n, _ := io.ReadFull(r, b[:])
			if w, hi, ok := webpSize(name, b[:n]); ok {
				return metadata, checkSize(w, hi) // a file without VP8X has no further chunks
			}
		case "ANMF":
			if frames++; frames > MaxFrames {
				return false, tooLong
			}
		case "EXIF":
			h.readExif(r, size)
		}
		return true, nil
	})
	h.frames = max(1, frames)
	return err
}

func webpSize(name string, b []byte) (w, h int, ok bool) {
	if name == "VP8 " && len(b) == 10 {
		return int(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(b[8:]) & 0x3fff), true
	}
	if name == "VP8L" && len(b) >= 5 {
		v := binary.LittleEndian.Uint32(b[1:])
		return int(v&0x3fff) + 1, int(v>>14&0x3fff) + 1, true
	}
	return 0, 0, false
}

const (
	frameHead   = 16       // bytes of a frame before its picture
	maxWebPPart = 32 << 20 // bytes of one compressed frame
)

// firstWebP returns the first frame of an animation at its place. The decoder supports only still
// pictures, so the frame is passed to it as one.
func firstWebP(r io.ReadSeeker) (m image.Image, err error) {
	var canvas image.Rectangle
	err = eachChunk(r, func(name string, size int64) (bool, error) {
		switch {
		case name == "VP8X" && size == 10:
			var b [10]byte
			if _, err := io.ReadFull(r, b[:]); err != nil {
				return false, err
			}
			canvas = image.Rect(0, 0, uint24(b[4:])+1, uint24(b[7:])+1)
		case name == "ANMF" && size > frameHead && size <= maxWebPPart:
			b := make([]byte, size)
			if _, err := io.ReadFull(r, b); err != nil {
				return false, err
			}
			m, err = frameWebP(b, canvas)
			return false, err
		}
		return true, nil
	})
	if err == nil && m == nil {
		err = core.E(core.KindInvalid, "the animation has no frame")
	}
	return m, err
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// frameWebP decodes one frame: its header and the chunks of a still picture.
func frameWebP(b []byte, canvas image.Rectangle) (image.Image, error) {
	at := image.Pt(2*uint24(b), 2*uint24(b[3:]))
	var still []byte
	if bytes.HasPrefix(b[frameHead:], []byte("ALPH")) { // a picture with alpha needs a VP8X header
		still = append([]byte("VP8X\x0a\x00\x00\x00\x10\x00\x00\x00"), append(bytes.Clone(b[6:9]), b[9:12]...)...)
	}
	still = append(still, b[frameHead:]...)
	riff := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(still)+4))
	all := append(append(riff, "WEBP"...), still...)
	c, err := webp.DecodeConfig(bytes.NewReader(all))
	if err != nil {
		return nil, err
	}
	if !image.Rect(0, 0, c.Width, c.Height).Add(at).In(canvas) {
		return nil, core.E(core.KindInvalid, "a frame extends beyond its picture")
	}
	m, err := webp.Decode(bytes.NewReader(all))
	if err != nil || m.Bounds() == canvas {
		return m, err
	}
	screen := image.NewRGBA(canvas)
	draw.Draw(screen, m.Bounds().Add(at), m, m.Bounds().Min, draw.Src)
	return screen, nil
}
