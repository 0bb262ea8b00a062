package image

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"os"
	"testing"

	"github.com/nearside/nearside/core"
)

// animatedPNG is a PNG that claims to have frames; its default image is the first frame.
func animatedPNG(t testing.TB) []byte {
	in := corner(t, "png")
	actl := pngChunk("acTL", []byte{0, 0, 0, 2, 0, 0, 0, 0})
	return append(append(append([]byte{}, in[:33]...), actl...), in[33:]...)
}

// offCentreWebP is an animation of 128×64 pixels whose first frame covers the lower right
// quarter.
func offCentreWebP(t testing.TB) []byte {
	head := []byte{32, 0, 0, 16, 0, 0, 63, 0, 0, 31, 0, 0, 100, 0, 0, 2}
	frame := webpChunk("ANMF", append(head, corner(t, "webp lossless")[12:]...))
	return webpOf(webpChunk("VP8X", []byte{1 << 1, 0, 0, 0, 127, 0, 0, 63, 0, 0}), webpChunk("ANIM", make([]byte, 6)), frame, frame)
}

// An animation of any format is displayed by clients directly; its small pictures and its still picture
// are the first frame.
func TestMaker_AnimationsOfAllKinds(t *testing.T) {
	for name, in := range map[string][]byte{
		"webp": must[[]byte](t)(os.ReadFile("testdata/corners-animated.webp")), "png": animatedPNG(t),
	} {
		s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(in)))
		if s.HasPreview || s.Preview == nil || s.Mini == nil || s.Width != 64 || s.Height != 32 || s.Format != name {
			t.Errorf("%s: %+v", name, s.Info)
		}
		b := must[[]byte](t)(New().Brand(t.Context(), bytes.NewReader(in)))
		if got := quarters(must[image.Image](t)(png.Decode(bytes.NewReader(b)))); got != "RGBW" {
			t.Errorf("%s: first frame %s", name, got)
		}
	}
}

// A WebP frame keeps its place on the canvas; a frame that extends beyond the canvas is refused.
func TestMaker_WebPFrameInPlace(t *testing.T) {
	in := offCentreWebP(t)
	m := must[image.Image](t)(png.Decode(bytes.NewReader(must[[]byte](t)(New().Brand(t.Context(), bytes.NewReader(in))))))
	if _, _, _, a := m.At(10, 10).RGBA(); m.Bounds().Dx() != 128 || a != 0 || near(m.At(70, 36)) != "R" || near(m.At(120, 60)) != "W" {
		t.Errorf("%v: %v %v", m.Bounds(), m.At(70, 36), m.At(120, 60))
	}
	at := bytes.Index(in, []byte("ANMF")) + 8
	in[at] = 200
	if _, err := New().Brand(t.Context(), bytes.NewReader(in)); core.KindOf(err) != core.KindInvalid {
		t.Errorf("outside: %v", err)
	}
}

// Icons and brand pictures are shrunk to fit, in proportion, and never enlarged.
func TestMaker_StillSizes(t *testing.T) {
	for _, c := range []struct {
		what        string
		make        func(*Maker, *bytes.Reader) ([]byte, error)
		w, h        int
		wantW, want int
	}{
		{"icon", func(m *Maker, r *bytes.Reader) ([]byte, error) { return m.Icon(t.Context(), r, 128) }, 400, 200, 128, 128},
		{"small icon", func(m *Maker, r *bytes.Reader) ([]byte, error) { return m.Icon(t.Context(), r, 128) }, 40, 20, 20, 20},
		{"brand", func(m *Maker, r *bytes.Reader) ([]byte, error) { return m.Brand(t.Context(), r) }, 3840, 1080, 1920, 540},
		{"small brand", func(m *Maker, r *bytes.Reader) ([]byte, error) { return m.Brand(t.Context(), r) }, 300, 100, 300, 100},
	} {
		b := must[[]byte](t)(c.make(New(), bytes.NewReader(encoded(t, "jpeg", corners(c.w, c.h)))))
		m := must[image.Image](t)(png.Decode(bytes.NewReader(b)))
		if m.Bounds().Dx() != c.wantW || m.Bounds().Dy() != c.want || len(quarters(m)) != 4 {
			t.Errorf("%s: %v", c.what, m.Bounds())
		}
	}
}

// A still emoji becomes a PNG of at most 128×128 pixels; a picture that is too large in bytes,
// pixels or frames is refused.
func TestMaker_StillEmoji(t *testing.T) {
	b, mime, err := New().Emoji(t.Context(), bytes.NewReader(encoded(t, "jpeg", corners(512, 256))))
	if err != nil || mime != "image/png" {
		t.Fatalf("%s, %v", mime, err)
	}
	m := must[image.Image](t)(png.Decode(bytes.NewReader(b)))
	if m.Bounds().Dx() != 128 || m.Bounds().Dy() != 64 || quarters(m) != "RGBW" {
		t.Errorf("%v %s", m.Bounds(), quarters(m))
	}
	for name, c := range map[string]struct {
		in   []byte
		want core.Kind
	}{
		"wide":  {encoded(t, "png", corners(MaxEmojiSide+1, 10)), core.KindInvalid},
		"heavy": {make([]byte, MaxEmojiBytes+1), core.KindTooLarge},
		"text":  {[]byte("text"), core.KindInvalid},
		"long":  {manyFrames(MaxEmojiSide, MaxFrames), core.KindInvalid},
	} {
		if _, _, err := New().Emoji(t.Context(), bytes.NewReader(c.in)); core.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An animated emoji stays an animation: every frame is scaled with its time, place and
// transparency. The bytes are the same each time, and the file's comments are removed.
func TestMaker_AnimatedEmoji(t *testing.T) {
	in := movingSquare(t)
	b, mime, err := New().Emoji(t.Context(), bytes.NewReader(in))
	if err != nil || mime != "image/gif" {
		t.Fatalf("%s, %v", mime, err)
	}
	g := must[*gif.GIF](t)(gif.DecodeAll(bytes.NewReader(b)))
	if len(g.Image) != 3 || g.Config.Width != 128 || g.Config.Height != 128 || g.Delay[1] != 7 || g.LoopCount != 5 {
		t.Fatalf("%d frames, %v, delays %v", len(g.Image), g.Config, g.Delay)
	}
	for i, want := range []string{"Rxxx", "xGxx", "xGBx"} { // the first frame is removed after its time, the second stays
		var got string
		for _, p := range [][2]int{{32, 32}, {96, 32}, {32, 96}, {96, 96}} {
			c := g.Image[i].At(p[0], p[1])
			if _, _, _, a := c.RGBA(); a == 0 {
				got += "x"
				continue
			}
			got += near(c)
		}
		if got != want {
			t.Errorf("frame %d: %s, not %s", i, got, want)
		}
	}
	again, _, _ := New().Emoji(t.Context(), bytes.NewReader(in))
	if !bytes.Equal(b, again) || bytes.Contains(b, []byte("SECRET")) {
		t.Error("differs, or says what the file said")
	}
}

// movingSquare is 256×256 pixels: a red square that is removed, then a green one that stays, then
// a blue one.
func movingSquare(t testing.TB) []byte {
	g := &gif.GIF{LoopCount: 5, Config: image.Config{Width: 256, Height: 256}}
	for i, c := range []color.Color{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}} {
		at := image.Pt(i%2*128, i/2*128)
		p := image.NewPaletted(image.Rect(0, 0, 128, 128).Add(at), color.Palette{c})
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 5+2*i)
		g.Disposal = append(g.Disposal, []byte{gif.DisposalBackground, gif.DisposalNone, gif.DisposalNone}[i])
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	comment := append([]byte{'!', 0xfe, byte(len(secret))}, secret...)
	return append(append(b.Bytes()[:b.Len()-1], append(comment, 0)...), ';')
}

// manyFrames is a GIF of side×side pixels whose frames cover it but have no pixel data.
func manyFrames(side, n int) []byte {
	b := []byte("GIF89a")
	b = binary.LittleEndian.AppendUint16(b, uint16(side))
	b = binary.LittleEndian.AppendUint16(b, uint16(side))
	b = append(b, 0x80, 0, 0, 0, 0, 0, 255, 255, 255)
	frame := append([]byte{',', 0, 0, 0, 0}, byte(side), byte(side>>8), byte(side), byte(side>>8), 0, 2, 1, 0x2c, 0)
	return append(append(b, bytes.Repeat(frame, n)...), ';')
}
