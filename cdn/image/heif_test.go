package image

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"testing"

	"github.com/nearside/nearside/core"
)

func isoBox(name string, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	return append(append(u32(len(all)+8), name...), all...)
}

func u32(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

// property is one property of a picture in a HEIC or AVIF file.
func property(name string, numbers ...int) []byte {
	var body []byte
	for _, n := range numbers {
		body = append(body, u32(n)...)
	}
	return isoBox(name, body)
}

func turned(quarters byte) []byte { return isoBox("irot", []byte{quarters}) }

// heifOf is a file of two pictures, of which the second is the primary one: a tile with the first property, and
// the whole with the others.
func heifOf(brand string, tile []byte, whole ...[]byte) []byte {
	ipma := append([]byte{0, 0, 0, 0}, u32(2)...)
	ipma = append(ipma, 0, 1, 1, 1, 0, 2, byte(len(whole)))
	for i := range whole {
		ipma = append(ipma, byte(i+2)|0x80)
	}
	meta := isoBox("meta", make([]byte, 4), isoBox("hdlr", make([]byte, 25)), isoBox("pitm", []byte{0, 0, 0, 0, 0, 2}),
		isoBox("iprp", isoBox("ipco", append([][]byte{tile}, whole...)...), isoBox("ipma", ipma)))
	return bytes.Join([][]byte{isoBox("ftyp", []byte(brand), make([]byte, 4), []byte("miaf"), []byte("mif1")), isoBox("free", make([]byte, 9)), meta, isoBox("mdat", make([]byte, 40))}, nil)
}

func heifs() map[string][]byte {
	tile, whole := property("ispe", 0, 512, 512), property("ispe", 0, 4032, 3024)
	return map[string][]byte{
		"heic": heifOf("heic", tile, whole), "avif": heifOf("avif", tile, whole), "mif1": heifOf("mif1", tile, whole),
		"upright":   heifOf("heic", tile, property("ispe", 0, 3024, 4032), turned(3)),
		"half turn": heifOf("heic", tile, whole, turned(2)),
		"cropped":   heifOf("heic", tile, property("ispe", 0, 4096, 3072), property("clap", 8064, 2, 3024, 1, 0, 1, 0, 1)),
	}
}

// The size of a HEIC or an AVIF is that of its primary picture as it is seen, not of a tile. There is a
// placeholder with its proportions. Browsers show an AVIF themselves.
func TestMaker_NotDecoded(t *testing.T) {
	for name, in := range heifs() {
		s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(in)))
		if s.Width != 4032 || s.Height != 3024 || s.HasPreview != (name != "avif") || s.Mini != nil {
			t.Errorf("%s: %+v", name, s.Info)
		}
		thumb := must[image.Image](t)(jpeg.Decode(bytes.NewReader(s.Thumbnail))).Bounds()
		preview := must[image.Image](t)(jpeg.Decode(bytes.NewReader(s.Preview))).Bounds()
		if thumb != image.Rect(0, 0, 120, 90) || preview != image.Rect(0, 0, 480, 360) {
			t.Errorf("%s: placeholders of %v and %v", name, thumb, preview)
		}
	}
}

// A photo over the limits keeps the size at which it is seen, and an AVIF over them is not shown directly.
func TestMaker_OverLimits(t *testing.T) {
	photo := withExif(t, "jpeg", encoded(t, "jpeg", corners(16, 16)), 6)
	at := bytes.LastIndex(photo, []byte{0xff, 0xc0}) + 5
	binary.BigEndian.PutUint16(photo[at:], 6120)
	binary.BigEndian.PutUint16(photo[at+2:], 8160)
	s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(photo)))
	if s.Width != 6120 || s.Height != 8160 || !s.HasPreview {
		t.Errorf("a turned photo: %+v", s.Info)
	}
	s = must[Set](t)(New().Make(t.Context(), bytes.NewReader(heifOf("avif", property("ispe", 0, 1, 1), property("ispe", 0, 60_000, 60_000)))))
	if s.Width != 60_000 || !s.HasPreview {
		t.Errorf("a large AVIF: %+v", s.Info)
	}
}

// An animation of too many frames is not played by clients: they show what was made of its first frame.
func TestMaker_LongAnimations(t *testing.T) {
	long := animatedPNG(t)
	binary.BigEndian.PutUint32(long[bytes.Index(long, []byte("acTL"))+4:], MaxFrames+1)
	for name, in := range map[string][]byte{"gif": manyFrames(64, MaxFrames+1), "png": long} {
		s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(in)))
		if !s.HasPreview || len(s.Preview) == 0 || s.Width != 64 || s.Format != name {
			t.Errorf("%s: %+v", name, s.Info)
		}
	}
}

// Metadata that lies about its sizes is no picture: such a file is stored like any other.
func TestMaker_BrokenHEIF(t *testing.T) {
	whole := property("ispe", 0, 64, 48)
	tile := property("pixi", 0)
	good := heifOf("heic", tile, whole)
	far := bytes.Clone(good)
	binary.BigEndian.PutUint32(far[bytes.Index(far, []byte("meta"))-4:], 1<<31)
	for name, in := range map[string][]byte{
		"cut": good[:80], "no size": heifOf("heic", tile, property("pixi", 1)), "zero": heifOf("heic", tile, property("ispe", 0, 0, 9)), "far": far,
		"brands only": good[:28], "wide": heifOf("heic", tile, property("ispe", 0, 1<<31-1, 1)), "boxes": append(good[:28:28], bytes.Repeat(isoBox("free"), 1000)...),
	} {
		if s, err := New().Make(t.Context(), bytes.NewReader(in)); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %+v, %v", name, s.Info, err)
		}
	}
	if TypeOf(good) != "image/heic" || TypeOf([]byte("\x00\x00\x00\x1cftypisom\x00\x00\x00\x00mp42avc1")) != "" || TypeOf(nil) != "" {
		t.Error("the type of a film")
	}
}

// Hostile metadata gives a size or an error, quickly and without a panic.
func FuzzHEIF(f *testing.F) {
	for _, b := range heifs() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := heifConfig(bytes.NewReader(b))
		if err == nil && (c.Width <= 0 || c.Height <= 0) {
			t.Fatalf("%+v", c)
		}
	})
}
