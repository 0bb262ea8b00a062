package image

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/nearside/nearside/core"
)

// maxScans bounds the scans of a JPEG: an empty one has ten bytes and costs a pass over the whole
// picture. Cameras and programs write about ten.
const maxScans = 100

// readJPEG reads the markers up to the end of the file.
func (h *header) readJPEG(r *bufio.Reader) error {
	scans, seen := 0, false
	for {
		marker, ok := nextMarker(r)
		switch {
		case !ok || marker == 0xd9:
			return nil
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd8: // markers without a length
			continue
		}
		var size [2]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return nil
		}
		n := max(0, int(binary.BigEndian.Uint16(size[:]))-2)
		switch marker {
		case 0xc2, 0xc6, 0xca, 0xce:
			h.progressive = true
		case 0xda:
			if scans++; scans > maxScans {
				return core.E(core.KindInvalid, "the jpeg has more than %d scans", maxScans)
			}
		case 0xe1:
			if head, err := r.Peek(min(n, 6)); err == nil && !seen && string(head) == "Exif\x00\x00" {
				seen = true
				h.readExif(io.LimitReader(r, int64(n)), int64(n))
				continue
			}
		}
		_, _ = r.Discard(n)
	}
}

// nextMarker skips to the next marker. Compressed data contains no markers.
func nextMarker(r *bufio.Reader) (byte, bool) {
	for {
		if _, err := r.ReadSlice(0xff); err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			return 0, false
		}
		c, err := r.ReadByte()
		for err == nil && c == 0xff {
			c, err = r.ReadByte()
		}
		if err != nil {
			return 0, false
		}
		if c != 0 {
			return c, true
		}
	}
}
