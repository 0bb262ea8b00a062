package image

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"image"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// zeros returns n zero bytes, compressed.
func zeros(n int) []byte {
	var z bytes.Buffer
	zw := zlib.NewWriter(&z)
	_, _ = zw.Write(make([]byte, n))
	_ = zw.Close()
	return z.Bytes()
}

// bombPNG returns a well-formed grey PNG of w×h pixels, with chunks before its pixel data, which
// is cut off.
func bombPNG(w, h uint32, before ...[]byte) []byte {
	ihdr := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	b := append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", append(ihdr, 8, 0, 0, 0, 0))...)
	b = append(b, bytes.Join(before, nil)...)
	return append(append(b, pngChunk("IDAT", zeros(1<<20))...), pngChunk("IEND", nil)...)
}

// lyingWebP has a container that says 10×10 and a picture inside of 16383×16383.
func lyingWebP() []byte {
	return webpOf(webpChunk("VP8X", make([]byte, 10)), webpChunk("VP8 ", append([]byte{0x10, 0x02, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f}, make([]byte, 22)...)))
}

// canvasWebP is an animation on a canvas of 16777216×16777216.
func canvasWebP(flags byte) []byte {
	return webpOf(webpChunk("VP8X", []byte{flags, 0, 0, 0, 255, 255, 255, 255, 255, 255}), webpChunk("ANMF", make([]byte, 24)))
}

// lyingTIFF sets tags of a small TIFF to a value.
func lyingTIFF(t testing.TB, v uint32, tags ...uint16) []byte {
	b := encoded(t, "tiff", corners(8, 8))
	at := int(binary.LittleEndian.Uint32(b[4:]))
	for n := int(binary.LittleEndian.Uint16(b[at:])); n > 0; n-- {
		e := b[at+2+12*(n-1):]
		if slices.Contains(tags, binary.LittleEndian.Uint16(e)) {
			binary.LittleEndian.PutUint16(e[2:], 4)
			binary.LittleEndian.PutUint32(e[8:], v)
		}
	}
	return b
}

// loopTIFF has a directory that is its own successor and the target of each of its entries.
func loopTIFF() []byte {
	b := []byte("II*\x00\x08\x00\x00\x00\xff\xff")
	for range 65535 {
		b = append(b, 0x69, 0x87, 4, 0, 0xff, 0xff, 0xff, 0, 8, 0, 0, 0)
	}
	return append(b, 8, 0, 0, 0)
}

// manyStrips has a strip for every row, and claims that each has four gigabytes.
func manyStrips(t testing.TB) []byte {
	b := lyingTIFF(t, 0xffffffff, 279)
	at := int(binary.LittleEndian.Uint32(b[4:]))
	for n := int(binary.LittleEndian.Uint16(b[at:])); n > 0; n-- {
		if e := b[at+2+12*(n-1):]; binary.LittleEndian.Uint16(e) == 273 || binary.LittleEndian.Uint16(e) == 279 {
			binary.LittleEndian.PutUint32(e[4:], 1<<29)
		}
	}
	return b
}

// jpegFrame returns a JPEG of w×h pixels up to its first scan.
func jpegFrame(w, h uint16, sof byte) []byte {
	b := []byte{0xff, 0xd8, 0xff, sof, 0, 17, 8}
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, h), w)
	return append(b, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0)
}

// scanBomb is a progressive JPEG of thousands of scans, each over the whole picture.
func scanBomb() []byte {
	scan := []byte{0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0, 0x00}
	return append(append(jpegFrame(7680, 4320, 0xc2), bytes.Repeat(scan, 20_000)...), 0xff, 0xd9)
}

// segments returns a JPEG with many useless segments.
func segments(marker byte, head string, n int) []byte {
	body := append([]byte(head), make([]byte, 60_000)...)
	seg := append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(body)+2)), body...)
	return append([]byte{0xff, 0xd8}, bytes.Repeat(seg, n)...)
}

func bombs(t testing.TB) map[string][]byte {
	big := encoded(t, "bmp", corners(4, 4))
	binary.LittleEndian.PutUint32(big[18:], 50000)
	binary.LittleEndian.PutUint32(big[22:], 50000)
	text := append([]byte("k\x00\x01\x00\x00\x00"), zeros(64<<20)...)
	return map[string][]byte{
		"png 50000×50000":      bombPNG(50000, 50000),
		"png one row":          bombPNG(1<<30, 1),
		"png itxt":             bombPNG(4000, 4000, pngChunk("iTXt", text), pngChunk("iCCP", text)),
		"png cut idat":         bombPNG(4000, 4000),
		"png chunks":           bombPNG(4000, 4000, bytes.Repeat(pngChunk("eXIf", nil), 300_000)),
		"png frames":           bombPNG(10, 10, pngChunk("acTL", []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})),
		"gif screen":           manyFrames(65535, 1),
		"gif million frames":   manyFrames(16, 1_000_000),
		"gif no end":           manyFrames(16, 1)[:30],
		"webp that lies":       lyingWebP(),
		"webp canvas":          canvasWebP(0),
		"webp animated canvas": canvasWebP(1 << 1),
		"webp chunks":          webpOf(bytes.Repeat(webpChunk("XXXX", nil), 100_000)),
		"tiff 60000×60000":     lyingTIFF(t, 60000, 256, 257),
		"tiff strips":          manyStrips(t),
		"tiff tiles":           tiffWith(t, encoded(t, "tiff", corners(8, 8)), tagTileWidth, 60000),
		"tiff small tiles":     tiffWith(t, encoded(t, "tiff", corners(8, 8)), tagTileHeight, 1),
		"tiff loop":            loopTIFF(),
		"bmp 50000×50000":      big,
		"jpeg 65535×65535":     jpegFrame(65535, 65535, 0xc0),
		"jpeg scans":           scanBomb(),
		"jpeg exif":            segments(0xe1, "Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff", 1000),
		"jpeg icc":             segments(0xe2, "ICC_PROFILE\x00\x01\xff", 1000),
		"jpeg cut":             encoded(t, "jpeg", corners(64, 64))[:40],
		"text":                 []byte("hello, this is no picture"),
		"nothing":              nil,
	}
}

// Every bomb is refused as invalid, or described without being decoded, with less than 64 MB of allocation for header and pixels
// together, and quickly: decoding that many pixels would take many seconds.
func TestBombs(t *testing.T) {
	all := bombs(t)
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	runtime.GC() // garbage of earlier tests must not be counted
	for name, in := range all {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			s, err := New().Make(t.Context(), bytes.NewReader(in))
			eventually.InTime(t, began, time.Second)
			runtime.ReadMemStats(&after)
			if core.KindOf(err) != core.KindInvalid && (err != nil || s.Mini != nil && s.Width*s.Height > 256) {
				t.Fatalf("error %v, not invalid, and %+v", err, s.Info)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

// A picture of the largest size is decoded, and one with a row more is only described.
func TestMaker_LargestSize(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 7680, 4320))
	s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(encoded(t, "png", m))))
	if s.Width != 7680 || !s.HasPreview {
		t.Errorf("%+v", s.Info)
	}
	m = image.NewGray(image.Rect(0, 0, 7680, 4321))
	s = must[Set](t)(New().Make(t.Context(), bytes.NewReader(encoded(t, "png", m))))
	if s.Width != 7680 || s.Height != 4321 || !s.HasPreview || s.Mini != nil || len(s.Preview) > 20_000 {
		t.Errorf("one row more: %+v", s.Info)
	}
	if _, err := New().Square(t.Context(), bytes.NewReader(encoded(t, "png", m)), 128); core.KindOf(err) != core.KindInvalid {
		t.Errorf("an avatar of it: %v", err)
	}
}

func seeds(f *testing.F, most int) {
	add := func(b []byte) {
		if len(b) <= most {
			f.Add(b)
		}
	}
	for _, b := range bombs(f) {
		add(b)
	}
	for _, name := range formats {
		add(withExif(f, name, corner(f, name), 6))
	}
	add(animatedPNG(f))
	add(offCentreWebP(f))
	add(movingSquare(f))
	for _, b := range heifs() {
		add(b)
	}
}

// Hostile headers are refused or understood. They cause no panic and no header over the limits.
func FuzzHeader(f *testing.F) {
	seeds(f, 64<<10)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b))
		var e *core.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("a foreign error: %v", err)
		}
		if err == nil && (h.config.Width*h.config.Height > MaxPixels || h.frames > MaxFrames || h.orientation < 1 || h.orientation > 8) {
			t.Fatalf("%v is over the limit", h)
		}
	})
}

// Hostile pictures become small ones, or an error of ours.
func FuzzMake(f *testing.F) {
	seeds(f, 8<<10)
	m := New()
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := readHeader(bytes.NewReader(b)); err != nil || h.config.Width*h.config.Height > 1<<20 {
			return // a large picture is slow, and fuzzing it finds nothing new
		}
		s, err := m.Make(t.Context(), bytes.NewReader(b))
		if err != nil && core.KindOf(err) != core.KindInvalid {
			t.Fatalf("%v", err)
		}
		if err == nil && s.Mini != nil && (len(s.Mini) == 0 || len(s.Thumbnail) == 0 || strings.Contains(string(s.Preview), "Exif")) {
			t.Fatalf("%+v", s.Info)
		}
		if _, _, err := m.Emoji(t.Context(), bytes.NewReader(b)); err != nil && core.KindOf(err) != core.KindInvalid {
			t.Fatalf("%v", err)
		}
	})
}
