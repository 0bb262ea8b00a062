package image

import (
	"bufio"
	"encoding/binary"
	"io"
)

// readGIF reads a GIF's blocks without decompressing them. A broken file is read up to the fault;
// the decoder reports it.
func (h *header) readGIF(r *bufio.Reader) error {
	head := make([]byte, 13)
	if _, err := io.ReadFull(r, head); err != nil {
		return broken("gif", err)
	}
	skipTable(r, head[10])
	h.frames = 0
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil || c == ';':
			return nil
		case c == '!':
			_, _ = r.Discard(1)
		case c == ',':
			h.frames++
			if err := h.checkFrames(); err != nil {
				return err
			}
			desc := make([]byte, 9)
			if _, err := io.ReadFull(r, desc); err != nil {
				return nil
			}
			h.framePixels += int(binary.LittleEndian.Uint16(desc[4:])) * int(binary.LittleEndian.Uint16(desc[6:]))
			skipTable(r, desc[8])
			_, _ = r.Discard(1)
		default:
			return nil
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
