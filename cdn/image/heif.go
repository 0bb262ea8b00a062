package image

import (
	"encoding/binary"
	"image"
	"image/color"
	"io"

	"github.com/nearside/nearside/core"
)

// HEIC and AVIF files are boxes: a size, a name of four letters, a body that may be boxes again. Only what
// says how large the picture is seen is read; its pixels are not decoded.

// Limits of what is read of such a file. Phones write the box with the metadata first, with a few kilobytes.
const (
	maxBrands = 64      // bytes of the first box
	maxBoxes  = 64      // on each level that is read
	maxMeta   = 1 << 20 // bytes of the box with the metadata
	maxProps  = 1000    // of all pictures in a file; a property is named by its place in the list
)

// heif gives the format of a file whose first box says that it has pictures.
func heif(head []byte) (format, bool) {
	if len(head) < 12 || string(head[4:8]) != "ftyp" {
		return format{}, false
	}
	name := ""
	brands := head[8:min(len(head), max(12, int(binary.BigEndian.Uint32(head))))]
	for ; len(brands) >= 4; brands = brands[4:] {
		switch string(brands[:4]) {
		case "avif", "avis":
			return format{name: "avif", parse: heifConfig}, true
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1":
			name = "heic"
		}
	}
	return format{name: name, parse: heifConfig}, name != ""
}

// heifConfig gives the size at which the file's first picture is seen.
func heifConfig(r io.Reader) (image.Config, error) {
	for range maxBoxes {
		name, size, err := boxHead(r)
		switch {
		case err != nil:
			return image.Config{}, err
		case name == "meta" && size <= maxMeta:
			body := make([]byte, size)
			if _, err := io.ReadFull(r, body); err != nil {
				return image.Config{}, err
			}
			w, h, ok := heifSize(body)
			if !ok {
				return image.Config{}, core.E(core.KindInvalid, "the metadata names no picture with a size")
			}
			return image.Config{ColorModel: color.NRGBAModel, Width: w, Height: h}, nil
		}
		if _, err := io.CopyN(io.Discard, r, size); err != nil {
			return image.Config{}, err
		}
	}
	return image.Config{}, core.E(core.KindInvalid, "no metadata among the first boxes")
}

// boxHead reads the head of a box, and gives the size of its body.
func boxHead(r io.Reader) (name string, size int64, err error) {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:8]); err != nil {
		return "", 0, err
	}
	size, head := int64(binary.BigEndian.Uint32(b[:])), int64(8)
	if size == 1 { // a long one follows
		if _, err := io.ReadFull(r, b[8:]); err != nil {
			return "", 0, err
		}
		size, head = int64(binary.BigEndian.Uint64(b[8:])&(1<<62-1)), 16
	}
	if size < head {
		return "", 0, core.E(core.KindInvalid, "a box of %d bytes", size)
	}
	return string(b[4:8]), size - head, nil
}

// box is one box in memory.
type box struct {
	name string
	body []byte
}

// boxes gives the boxes of a body, up to the first one that does not fit.
func boxes(b []byte, most int) (out []box) {
	for len(b) >= 8 && len(out) < most {
		size := binary.BigEndian.Uint32(b)
		if size < 8 || uint64(size) > uint64(len(b)) {
			break
		}
		out = append(out, box{string(b[4:8]), b[8:size]})
		b = b[size:]
	}
	return out
}

// inside gives the body of the first box with a name.
func inside(b []byte, name string) []byte {
	for _, x := range boxes(b, maxBoxes) {
		if x.name == name {
			return x.body
		}
	}
	return nil
}

// fields reads numbers from a box. After its end they are zero and short is set.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) number(bytes int) (v uint32) {
	if f.short = f.short || len(f.b) < bytes; f.short {
		return 0
	}
	for _, c := range f.b[:bytes] {
		v = v<<8 | uint32(c)
	}
	f.b = f.b[bytes:]
	return v
}

// heifSize gives the size of the primary picture of the metadata, after its crop and its rotation.
func heifSize(meta []byte) (w, h int, ok bool) {
	if len(meta) < 4 {
		return 0, 0, false
	}
	meta = meta[4:] // version and flags
	primary, ok := primaryItem(inside(meta, "pitm"))
	if !ok {
		return 0, 0, false
	}
	list := inside(meta, "iprp")
	props := boxes(inside(list, "ipco"), maxProps)
	for _, n := range itemProperties(inside(list, "ipma"), primary) {
		if n < 1 || n > len(props) {
			continue
		}
		f := fields{b: props[n-1].body}
		switch props[n-1].name {
		case "ispe":
			f.number(4)
			w, h = int(f.number(4)), int(f.number(4))
		case "clap":
			w, h = cropped(w, f.number(4), f.number(4)), cropped(h, f.number(4), f.number(4))
		case "irot":
			if f.number(1)&1 == 1 { // quarter turns
				w, h = h, w
			}
		}
	}
	return w, h, w > 0 && h > 0
}

// cropped gives the side that remains of one, if the crop makes sense.
func cropped(side int, n, d uint32) int {
	if d == 0 || n/d == 0 || int64(n/d) > int64(side) {
		return side
	}
	return int(n / d)
}

func primaryItem(b []byte) (uint32, bool) {
	f := fields{b: b}
	size := 2
	if f.number(1) > 0 { // version
		size = 4
	}
	f.number(3)
	id := f.number(size)
	return id, !f.short
}

// itemProperties gives the places of an item's properties in the list, from 1.
func itemProperties(b []byte, item uint32) (out []int) {
	f := fields{b: b}
	version, flags := f.number(1), f.number(3)
	idSize, placeSize := 2, 1
	if version > 0 {
		idSize = 4
	}
	if flags&1 == 1 {
		placeSize = 2
	}
	for n := f.number(4); n > 0 && !f.short; n-- { // each has bytes, so that there are no more than those
		id := f.number(idSize)
		for of := f.number(1); of > 0 && !f.short; of-- {
			place := f.number(placeSize) & (1<<(8*placeSize-1) - 1) // without the mark of what a reader must know
			if id == item && len(out) < maxBoxes {
				out = append(out, int(place))
			}
		}
	}
	return out
}

// TypeOf gives the type of a picture by its first bytes, if it is one that package net/http does not know.
func TypeOf(head []byte) string {
	f, ok := heif(head[:min(len(head), maxBrands)])
	if !ok {
		return ""
	}
	return "image/" + f.name
}
