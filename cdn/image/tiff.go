package image

import (
	"bufio"
	"io"

	"github.com/nearside/nearside/core"
)

const (
	tagTileWidth  = 322
	tagTileHeight = 323
	minTile       = 16 // minimum of the format; a picture of millions of tiles costs more than its pixels
	maxTile       = 4096
)

// readTIFF reads the first directory, because the decoder decodes the first picture. A tile is
// decompressed as a whole, so its size is checked like the picture's.
func (h *header) readTIFF(r io.ReadSeeker) error {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return broken("tiff", err)
	}
	order, at, ok := tiffStart(b[:])
	if !ok {
		return core.E(core.KindInvalid, "the tiff is broken")
	}
	if _, err := r.Seek(at, io.SeekStart); err != nil {
		return core.AsError(err)
	}
	return eachTag(bufio.NewReader(r), order, func(tag uint16, v uint32) error {
		switch {
		case tag == tagOrientation && v >= 1 && v <= 8:
			h.orientation = int(v)
		case (tag == tagTileWidth || tag == tagTileHeight) && v != 0 && (v < minTile || v > maxTile):
			return core.E(core.KindInvalid, "the tiff's tiles have %d pixels a side", v)
		}
		return nil
	})
}
