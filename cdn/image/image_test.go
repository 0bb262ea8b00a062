package image

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"runtime"
	"testing"
	"time"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/nearside/nearside/core"
)

// corners is a w×h picture whose quarters are red, green, blue and white.
func corners(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	quarter := []color.RGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}}
	for y := range h {
		for x := range w {
			m.SetRGBA(x, y, quarter[y*2/h*2+x*2/w])
		}
	}
	return m
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func encoded(t testing.TB, name string, m image.Image) []byte {
	var b bytes.Buffer
	var err error
	switch name {
	case "jpeg":
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: 95})
	case "png":
		err = png.Encode(&b, m)
	case "gif":
		err = gif.Encode(&b, m, nil)
	case "bmp":
		err = bmp.Encode(&b, m)
	case "tiff":
		err = tiff.Encode(&b, m, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every format gives a thumbnail, a preview and a mini of the right sizes, twice the same.
func TestMaker_EveryFormat(t *testing.T) {
	for _, name := range []string{"jpeg", "png", "gif", "bmp", "tiff"} {
		t.Run(name, func(t *testing.T) {
			in := encoded(t, name, corners(2400, 1200))
			s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(in)))
			again := must[Set](t)(New().Make(t.Context(), bytes.NewReader(in)))
			if s.Width != 2400 || s.Height != 1200 || s.Format != name || !s.HasPreview {
				t.Errorf("info %d×%d %s preview %v", s.Width, s.Height, s.Format, s.HasPreview)
			}
			for _, c := range []struct {
				what        string
				got, second []byte
				w, h        int
			}{{"thumbnail", s.Thumbnail, again.Thumbnail, 120, 60}, {"preview", s.Preview, again.Preview, 1920, 960}, {"mini", s.Mini, again.Mini, 16, 16}} {
				m := must[image.Image](t)(jpeg.Decode(bytes.NewReader(c.got)))
				if m.Bounds().Dx() != c.w || m.Bounds().Dy() != c.h {
					t.Errorf("%s is %v, not %d×%d", c.what, m.Bounds(), c.w, c.h)
				}
				if !bytes.Equal(c.got, c.second) {
					t.Errorf("%s differs the second time", c.what)
				}
			}
			if len(s.Mini) > 1024 {
				t.Errorf("mini of %d bytes", len(s.Mini))
			}
		})
	}
}

// A transparent picture's thumbnail is a PNG that is still transparent.
func TestMaker_TransparentThumbnail(t *testing.T) {
	m := corners(300, 300)
	m.SetRGBA(0, 0, color.RGBA{})
	s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(encoded(t, "png", m))))
	must[image.Image](t)(png.Decode(bytes.NewReader(s.Thumbnail)))
	must[image.Image](t)(jpeg.Decode(bytes.NewReader(s.Preview)))
}

// withExif puts an EXIF orientation and a secret into a JPEG.
func withExif(in []byte, o uint16) []byte {
	tiff := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	tiff = append(binary.BigEndian.AppendUint16(tiff, o), 0, 0, 0, 0, 0, 0)
	body := append([]byte("Exif\x00\x00"), append(tiff, "SECRETPLACE"...)...)
	seg := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2))
	return append(append(append([]byte{}, in[:2]...), append(seg, body...)...), in[2:]...)
}

// near says which quarter's colour this is.
func near(c color.Color) string {
	r, g, b, _ := c.RGBA()
	name := map[string]string{"true,false,false": "R", "false,true,false": "G", "false,false,true": "B", "true,true,true": "W"}
	return name[fmt.Sprintf("%v,%v,%v", r > 1<<15, g > 1<<15, b > 1<<15)]
}

// All eight EXIF orientations are turned upright, and nothing else of the EXIF is kept.
func TestMaker_Orientation(t *testing.T) {
	want := []string{"RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"} // left to right, then down
	for i, w := range want {
		in := withExif(encoded(t, "jpeg", corners(64, 32)), uint16(i+1))
		s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(in)))
		m := must[image.Image](t)(jpeg.Decode(bytes.NewReader(s.Preview)))
		width, height := m.Bounds().Dx(), m.Bounds().Dy()
		if turned := i+1 >= 5; (width == 32) != turned || s.Width != width || s.Height != height {
			t.Errorf("orientation %d: %d×%d, info %d×%d", i+1, width, height, s.Width, s.Height)
		}
		var got string
		for _, p := range [][2]int{{1, 1}, {3, 1}, {1, 3}, {3, 3}} {
			got += near(m.At(width*p[0]/4, height*p[1]/4))
		}
		if got != w {
			t.Errorf("orientation %d gives %s, not %s", i+1, got, w)
		}
		if bytes.Contains(s.Preview, []byte("SECRET")) || bytes.Contains(s.Thumbnail, []byte("Exif")) {
			t.Errorf("orientation %d: the EXIF is in an output", i+1)
		}
	}
}

// An animation is described and left alone; a still GIF is not.
func TestMaker_Animation(t *testing.T) {
	s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(animation(t, 3))))
	if s.HasPreview || s.Preview != nil || s.Width != 4 || s.Format != "gif" {
		t.Errorf("animation gives %+v", s.Info)
	}
}

// A frame smaller than its screen keeps its place and is not stretched.
func TestMaker_PartialFrame(t *testing.T) {
	p := image.NewPaletted(image.Rect(50, 50, 100, 100), color.Palette{color.RGBA{255, 0, 0, 255}})
	g := &gif.GIF{Image: []*image.Paletted{p}, Delay: []int{0}, Config: image.Config{Width: 100, Height: 100}}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(b.Bytes())))
	m := must[image.Image](t)(jpeg.Decode(bytes.NewReader(s.Preview)))
	if m.Bounds().Dx() != 100 || near(m.At(20, 20)) != "W" || near(m.At(75, 75)) != "R" {
		t.Errorf("%v: %s, %s", m.Bounds(), near(m.At(20, 20)), near(m.At(75, 75)))
	}
}

func animation(t testing.TB, frames int) []byte {
	p := image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.Black, color.White})
	g := &gif.GIF{}
	for range frames {
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bombPNG is a well-formed grey PNG of w×h zeros; its pixels are cut after a megabyte.
func bombPNG(w, h uint32) []byte {
	var z bytes.Buffer
	zw := zlib.NewWriter(&z)
	_, _ = zw.Write(make([]byte, 1<<20))
	_ = zw.Close()
	ihdr := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	b := []byte("\x89PNG\r\n\x1a\n")
	for _, c := range []struct {
		name string
		body []byte
	}{{"IHDR", append(ihdr, 8, 0, 0, 0, 0)}, {"IDAT", z.Bytes()}, {"IEND", nil}} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c.body)))
		data := append([]byte(c.name), c.body...)
		b = binary.BigEndian.AppendUint32(append(b, data...), crc32.ChecksumIEEE(data))
	}
	return b
}

// lyingWebP says 10×10 outside and 16383×16383 inside.
func lyingWebP() []byte {
	vp8x := append([]byte("VP8X\x0a\x00\x00\x00"), 0, 0, 0, 0, 9, 0, 0, 9, 0, 0)
	vp8 := append([]byte("VP8 \x20\x00\x00\x00"), 0x10, 0x02, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f)
	body := append(append(vp8x, vp8...), make([]byte, 22)...)
	b := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body)+4))
	return append(append(b, "WEBP"...), body...)
}

// lyingTIFF changes the width and height of a small TIFF.
func lyingTIFF(t testing.TB) []byte {
	b := encoded(t, "tiff", corners(8, 8))
	at := int(binary.LittleEndian.Uint32(b[4:]))
	for n := int(binary.LittleEndian.Uint16(b[at:])); n > 0; n-- {
		e := b[at+2+12*(n-1):]
		if tag := binary.LittleEndian.Uint16(e); tag == 256 || tag == 257 {
			binary.LittleEndian.PutUint16(e[2:], 4)
			binary.LittleEndian.PutUint32(e[8:], 60000)
		}
	}
	return b
}

func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 10*time.Millisecond)
}

func bombs(t testing.TB) map[string][]byte {
	big := encoded(t, "bmp", corners(4, 4))
	binary.LittleEndian.PutUint32(big[18:], 50000)
	binary.LittleEndian.PutUint32(big[22:], 50000)
	return map[string][]byte{
		"png 60000×60000":  bombPNG(60000, 60000),
		"png one row":      bombPNG(1<<30, 1),
		"gif 5000 frames":  animation(t, 5000),
		"webp that lies":   lyingWebP(),
		"tiff 60000×60000": lyingTIFF(t),
		"bmp 50000×50000":  big,
		"text":             []byte("hello, this is no picture"),
		"nothing":          nil,
		"jpeg cut":         encoded(t, "jpeg", corners(64, 64))[:40],
	}
}

// A bomb is refused as invalid in 100 ms and without 64 MB.
func TestMaker_Bombs(t *testing.T) {
	for name, in := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := New().Make(t.Context(), bytes.NewReader(in))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if core.KindOf(err) != core.KindInvalid {
				t.Errorf("error %v, not invalid", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
			if took > 100*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	}
}

// An avatar is the middle of the picture.
func TestMaker_Square(t *testing.T) {
	b := must[[]byte](t)(New().Square(t.Context(), bytes.NewReader(encoded(t, "png", corners(400, 200))), 128))
	m := must[image.Image](t)(png.Decode(bytes.NewReader(b)))
	if m.Bounds().Dx() != 128 || m.Bounds().Dy() != 128 || near(m.At(10, 10)) != "R" || near(m.At(120, 120)) != "W" {
		t.Errorf("avatar %v, %s %s", m.Bounds(), near(m.At(10, 10)), near(m.At(120, 120)))
	}
}

// A caller with no slot ends with its context.
func TestMaker_SlotsAreBounded(t *testing.T) {
	m := New()
	for range slots {
		m.slots <- struct{}{}
	}
	ctx, cancel := contextOf(t)
	defer cancel()
	_, err := m.Make(ctx, bytes.NewReader(nil))
	if core.KindOf(err) != core.KindTimeout {
		t.Errorf("error %v, not a timeout", err)
	}
}

// Headers from strangers are refused or understood, never a panic, never over the limits.
func FuzzHeader(f *testing.F) {
	for _, b := range bombs(f) {
		f.Add(b)
	}
	f.Add(withExif(encoded(f, "jpeg", corners(8, 8)), 6))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b))
		var e *core.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("a foreign error: %v", err)
		}
		if err == nil && h.config.Width*h.config.Height > MaxPixels {
			t.Fatalf("%v is over the limit", h.config)
		}
	})
}
