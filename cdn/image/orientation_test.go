package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"os"
	"testing"
)

const secret = "SECRETPLACE 52.5N 13.4E"

// exifOf returns an EXIF with an orientation and a location.
func exifOf(order binary.AppendByteOrder, o uint16) []byte {
	b := []byte("MM\x00*")
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		b = []byte("II*\x00")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	for _, e := range []struct {
		tag, kind uint16
		value     []byte
	}{{0x010f, 2, []byte("ab\x00\x00")}, {tagOrientation, 3, append(order.AppendUint16(nil, o), 0, 0)}} {
		b = order.AppendUint16(order.AppendUint16(b, e.tag), e.kind)
		b = append(order.AppendUint32(b, 1), e.value...)
	}
	return append(append(b, 0, 0, 0, 0), secret...)
}

// withExif adds an EXIF orientation and a secret to a picture, in the way of its format.
func withExif(t testing.TB, name string, in []byte, o uint16) []byte {
	switch name {
	case "jpeg":
		body := append([]byte("Exif\x00\x00"), exifOf(binary.BigEndian, o)...)
		seg := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2))
		return append(append(append([]byte{}, in[:2]...), append(seg, body...)...), in[2:]...)
	case "png":
		chunk := pngChunk("eXIf", exifOf(binary.LittleEndian, o))
		text := pngChunk("tEXt", []byte("Comment\x00"+secret))
		return append(append(append(append([]byte{}, in[:33]...), chunk...), text...), in[33:]...)
	case "webp", "webp lossless":
		return extendedWebP(in, exifOf(binary.BigEndian, o))
	case "tiff":
		return tiffWith(t, in, tagOrientation, o)
	}
	return append(append([]byte{}, in...), secret...)
}

func pngChunk(name string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	data := append([]byte(name), body...)
	return binary.BigEndian.AppendUint32(append(b, data...), crc32.ChecksumIEEE(data))
}

func webpChunk(name string, body []byte) []byte {
	b := append(binary.LittleEndian.AppendUint32([]byte(name), uint32(len(body))), body...)
	return append(b, make([]byte, len(b)&1)...)
}

func webpOf(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// extendedWebP turns a simple WebP of 64×32 pixels into one with EXIF, which is at its end.
func extendedWebP(in, exif []byte) []byte {
	return webpOf(webpChunk("VP8X", []byte{1 << 3, 0, 0, 0, 63, 0, 0, 31, 0, 0}), in[12:], webpChunk("EXIF", exif))
}

// tiffWith adds a short entry to a directory that the encoder wrote, and moves the directory to
// the end.
func tiffWith(t testing.TB, in []byte, tag, v uint16) []byte {
	t.Helper()
	order := binary.LittleEndian
	at := int(order.Uint32(in[4:]))
	n := int(order.Uint16(in[at:]))
	out := append(append([]byte{}, in...), secret...)
	out = append(out, make([]byte, len(out)&1)...)
	order.PutUint32(out[4:], uint32(len(out)))
	out = order.AppendUint16(out, uint16(n+1))
	entry := append(order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, tag), 3), 1), byte(v), byte(v>>8), 0, 0)
	done := false
	for i := range n {
		e := in[at+2+12*i : at+14+12*i]
		if !done && order.Uint16(e) > tag {
			out, done = append(out, entry...), true
		}
		out = append(out, e...)
	}
	if !done {
		out = append(out, entry...)
	}
	return append(out, 0, 0, 0, 0)
}

// corner returns the picture of 64×32 pixels with four colours, in each format.
func corner(t testing.TB, name string) []byte {
	t.Helper()
	file := map[string]string{"webp": "testdata/corners-lossy.webp", "webp lossless": "testdata/corners-lossless.webp"}[name]
	if file == "" {
		return encoded(t, name, corners(64, 32))
	}
	return must[[]byte](t)(os.ReadFile(file))
}

var formats = []string{"jpeg", "png", "gif", "bmp", "tiff", "webp", "webp lossless"}

// quarters names the colours of a picture, from left to right, then down.
func quarters(m image.Image) (got string) {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	for _, p := range [][2]int{{1, 1}, {3, 1}, {1, 3}, {3, 3}} {
		got += near(m.At(w*p[0]/4, h*p[1]/4))
	}
	return got
}

// All eight orientations are applied, in every format that can store one, with the same bytes
// each time; no other metadata is in any output.
func TestMaker_Orientation(t *testing.T) {
	want := []string{"RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"}
	for _, name := range formats {
		for i := range want {
			t.Run(fmt.Sprintf("%s %d", name, i+1), func(t *testing.T) {
				o := i + 1
				in := withExif(t, name, corner(t, name), uint16(o))
				if name == "gif" || name == "bmp" { // these formats cannot store it
					o = 1
				}
				checkUpright(t, in, o, want[o-1])
			})
		}
	}
}

func checkUpright(t *testing.T, in []byte, o int, want string) {
	t.Helper()
	s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(in)))
	again := must[Set](t)(New().Make(t.Context(), bytes.NewReader(in)))
	m := must[image.Image](t)(jpeg.Decode(bytes.NewReader(s.Preview)))
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	if turned := o >= 5; (w == 32) != turned || s.Width != w || s.Height != h {
		t.Errorf("%d×%d, info %d×%d", w, h, s.Width, s.Height)
	}
	if got := quarters(m); got != want {
		t.Errorf("%s, not %s", got, want)
	}
	square := must[[]byte](t)(New().Square(t.Context(), bytes.NewReader(in), 32))
	emoji, _, err := New().Emoji(t.Context(), bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range [][]byte{s.Preview, s.Thumbnail, s.Mini, square, emoji} {
		if bytes.Contains(out, []byte("SECRET")) || bytes.Contains(out, []byte("Exif")) || bytes.Contains(out, []byte("eXIf")) {
			t.Error("what stood beside the pixels is in an output")
		}
	}
	if !bytes.Equal(s.Preview, again.Preview) || !bytes.Equal(s.Thumbnail, again.Thumbnail) {
		t.Error("differs the second time")
	}
}

// An EXIF that is broken, or that points into itself, means no rotation.
func TestExifOrientation_Broken(t *testing.T) {
	good := exifOf(binary.BigEndian, 6)
	for i := range good {
		if got := exifOrientation(good[:i]); got != 0 && got != 6 {
			t.Errorf("cut at %d: %d", i, got)
		}
	}
	loop := []byte("MM\x00*\x00\x00\x00\x00\xff\xff")
	if got := exifOrientation(loop); got != 0 {
		t.Errorf("a directory at its own head: %d", got)
	}
	if got := exifOrientation(exifOf(binary.LittleEndian, 9)); got != 0 {
		t.Errorf("orientation 9: %d", got)
	}
}
