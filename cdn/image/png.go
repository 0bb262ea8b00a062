package image

import (
	"encoding/binary"
	"io"

	"github.com/nearside/nearside/core"
)

// maxChunks bounds the chunks of a PNG or a WebP: a decoder allocates memory for each, even an
// empty one. A hundred megabytes in the usual chunks of eight kilobytes need fewer.
const maxChunks = 20_000

// readPNG finds the orientation and whether the picture is animated. It decompresses no chunk.
func (h *header) readPNG(r io.ReadSeeker) error {
	at := int64(8)
	for range maxChunks {
		if _, err := r.Seek(at, io.SeekStart); err != nil {
			return core.AsError(err)
		}
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil || string(b[4:]) == "IEND" {
			return h.checkFrames()
		}
		n := int64(binary.BigEndian.Uint32(b[:]))
		h.readPNGChunk(r, string(b[4:]), n)
		at += 12 + n
	}
	return core.E(core.KindInvalid, "the png has too many chunks")
}

func (h *header) readPNGChunk(r io.Reader, name string, n int64) {
	var b [13]byte
	switch name {
	case "IHDR":
		if _, err := io.ReadFull(r, b[:]); err == nil {
			h.progressive = b[12] == 1
		}
	case "acTL":
		if _, err := io.ReadFull(r, b[:4]); err == nil {
			h.frames = int(binary.BigEndian.Uint32(b[:]))
		}
	case "eXIf":
		h.readExif(r, n)
	}
}

// tooLong refuses an animation of more frames than clients are asked to play. Nothing else is wrong with it.
var tooLong = core.E(core.KindInvalid, "the animation has more than %d frames", MaxFrames)

func (h *header) checkFrames() error {
	if h.frames > MaxFrames {
		return tooLong
	}
	return nil
}
