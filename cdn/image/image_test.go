package image

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"sync"
	"testing"
	"time"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/turn"
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

// Every format gives a thumbnail, a preview and a mini preview of the right sizes, and the same
// bytes each time.
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

// near names the quarter with this colour.
func near(c color.Color) string {
	r, g, b, _ := c.RGBA()
	name := map[string]string{"true,false,false": "R", "false,true,false": "G", "false,false,true": "B", "true,true,true": "W"}
	return name[fmt.Sprintf("%v,%v,%v", r > 1<<15, g > 1<<15, b > 1<<15)]
}

// An animation is displayed directly, with small pictures of its first frame for those who ask for them.
func TestMaker_Animation(t *testing.T) {
	s := must[Set](t)(New().Make(t.Context(), bytes.NewReader(animation(t, 3))))
	if s.HasPreview || s.Preview == nil || s.Width != 4 || s.Format != "gif" {
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

func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 10*time.Millisecond)
}

// An avatar is the middle of the picture.
func TestMaker_Square(t *testing.T) {
	b := must[[]byte](t)(New().Square(t.Context(), bytes.NewReader(encoded(t, "png", corners(400, 200))), 128))
	m := must[image.Image](t)(png.Decode(bytes.NewReader(b)))
	if m.Bounds().Dx() != 128 || m.Bounds().Dy() != 128 || near(m.At(10, 10)) != "R" || near(m.At(120, 120)) != "W" {
		t.Errorf("avatar %v, %s %s", m.Bounds(), near(m.At(10, 10)), near(m.At(120, 120)))
	}
}

// A caller without a slot ends with its context.
func TestMaker_SlotsAreBounded(t *testing.T) {
	m := New()
	for i := range slots {
		if _, err := m.turns.Enter(t.Context(), turn.Who{Name: string(rune('a' + i))}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := contextOf(t)
	defer cancel()
	_, err := m.Make(ctx, bytes.NewReader(nil))
	if core.KindOf(err) != core.KindTimeout {
		t.Errorf("error %v, not a timeout", err)
	}
}

// Regression: ten large pictures of one account stopped everybody's pictures for 24 s. Now others go on
// beside them at once, and too many of one are refused.
func TestMaker_OneCallerLeavesASlot(t *testing.T) {
	m := New()
	small := encoded(t, "png", corners(40, 20))
	entered, release := make(chan struct{}, 100), make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(release)
	refused := make(chan error, 100)
	for range maxWaitOne + 1 + 3 { // one runs
		all.Go(func() {
			_, err := m.For(turn.Who{Name: "eve"}).Make(t.Context(), &stuck{Reader: bytes.NewReader(small), entered: entered, release: release})
			if err != nil {
				refused <- err
			}
		})
	}
	<-entered
	for range 3 {
		if err := <-refused; core.AsError(err).ID != busy.ID {
			t.Fatalf("refused with %v", err)
		}
	}
	if _, err := m.For(turn.Who{Name: "ann", Known: true}).Make(t.Context(), bytes.NewReader(small)); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if len(entered) > 0 {
		t.Error("one caller has both slots")
	}
}

// stuck is a picture that takes until it is released.
type stuck struct {
	*bytes.Reader
	entered, release chan struct{}
	once             sync.Once
}

func (s *stuck) Read(p []byte) (int, error) {
	s.once.Do(func() { s.entered <- struct{}{}; <-s.release })
	return s.Reader.Read(p)
}

// A huge picture leaves memory for ordinary ones.
func TestMaker_HugeLeavesMemory(t *testing.T) {
	m := New()
	if !m.memory.TryAcquire(maxDecoding - ordinary) { // what the largest picture counts as
		t.Fatal("no memory")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := m.Make(ctx, bytes.NewReader(encoded(t, "png", corners(400, 200)))); err != nil {
		t.Error(err)
	}
}
