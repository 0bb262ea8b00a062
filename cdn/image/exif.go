package image

import (
	"bytes"
	"encoding/binary"
	"io"
)

// maxExif bounds how much of a picture's EXIF is read; the orientation is near the start.
const maxExif = 64 << 10

// readExif reads the orientation from n bytes of EXIF, and nothing else.
func (h *header) readExif(r io.Reader, n int64) {
	if n < 8 {
		return
	}
	b, _ := io.ReadAll(io.LimitReader(r, min(n, maxExif)))
	b, _ = bytes.CutPrefix(b, []byte("Exif\x00\x00")) // some programs write this prefix where the format has none
	if o := exifOrientation(b); o != 0 {
		h.orientation = o
	}
}

const tagOrientation = 0x0112

// exifOrientation returns the orientation in the first directory, or zero.
func exifOrientation(b []byte) int {
	order, at, ok := tiffStart(b)
	if !ok || at > int64(len(b)) {
		return 0
	}
	found := 0
	_ = eachTag(bytes.NewReader(b[at:]), order, func(tag uint16, v uint32) error {
		if tag == tagOrientation && v >= 1 && v <= 8 && found == 0 {
			found = int(v)
		}
		return nil
	})
	return found
}

// tiffStart reads the byte order of a TIFF and the offset of its directory. EXIF has the same
// format.
func tiffStart(b []byte) (order binary.ByteOrder, at int64, ok bool) {
	if len(b) < 8 {
		return nil, 0, false
	}
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return nil, 0, false
	}
	return order, int64(order.Uint32(b[4:])), true
}

// eachTag reads a directory's entries that hold one small number. It follows no pointer, so a
// directory cannot cause a loop.
func eachTag(r io.Reader, order binary.ByteOrder, each func(tag uint16, v uint32) error) error {
	var b [12]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return nil
	}
	for n := order.Uint16(b[:]); n > 0; n-- {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil
		}
		v := order.Uint32(b[8:])
		switch order.Uint16(b[2:]) {
		case 3: // two bytes
			v = uint32(order.Uint16(b[8:]))
		case 4:
		default:
			continue
		}
		if err := each(order.Uint16(b[:]), v); err != nil {
			return err
		}
	}
	return nil
}
