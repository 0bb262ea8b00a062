package text

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/nearside/nearside/core"
)

func extract(t testing.TB, name, mime string, b []byte, max int) string {
	t.Helper()
	s, err := Extract(t.Context(), name, mime, bytes.NewReader(b), int64(len(b)), max)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// Text in every usual encoding is returned as UTF-8, with its white space reduced.
func TestExtract_Encodings(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"utf-8":         {"Grüße,\t  Welt\r\n\r\nzwei", "Grüße, Welt\nzwei"},
		"utf-8 mark":    {"\ufeffGrüße", "Grüße"},
		"latin-1":       {"Gr\xfc\xdfe", "Grüße"},
		"utf-16 le":     {"\xff\xfeG\x00\xfc\x00=\xd8\x00\xde", "Gü😀"},
		"utf-16 be":     {"\xfe\xff\x00G\x00\xfc\xd8=\xde\x00", "Gü😀"},
		"odd utf-16":    {"\xff\xfeG\x00\xfc", "G"},
		"binary":        {"\x7fELF\x02\x00\x00words", ""},
		"controls":      {"a\x01\x1b[0mb", "a[0mb"},
		"blank":         {" \n\t ", ""},
		"cut at a rune": {strings.Repeat("a", chunkBytes+3) + "ü", strings.Repeat("a", chunkBytes+3) + "ü"},
	} {
		if got := extract(t, "a.txt", "", []byte(c.in), 1<<20); got != c.want {
			t.Errorf("%s: %.60q, not %.60q", name, got, c.want)
		}
	}
}

// The result is never longer than requested and never ends inside a character.
func TestExtract_Bounded(t *testing.T) {
	in := []byte(strings.Repeat("wörter ", 1000))
	for max := range 64 {
		got := extract(t, "a.md", "", in, max)
		if len(got) > max || !utf8.ValidString(got) || !strings.HasPrefix(string(in), got) {
			t.Errorf("max %d: %q", max, got)
		}
	}
}

// Kinds of files without text give "" and no error.
func TestExtract_UnknownKinds(t *testing.T) {
	for name, mime := range map[string]string{"a.png": "image/png", "a": "", "a.exe": "application/octet-stream"} {
		if got := extract(t, name, mime, []byte("words"), 100); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := extract(t, "Makefile", "text/x-makefile; charset=utf-8", []byte("words"), 100); got != "words" {
		t.Errorf("text by its type: %q", got)
	}
}

// If the caller's context ends, Extract returns its error and no partial text.
func TestExtract_Canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := Extract(ctx, "a.txt", "", strings.NewReader("words"), 5, 100)
	if s != "" || core.KindOf(err) != core.KindCanceled {
		t.Errorf("%q, %v", s, err)
	}
}

// blockedFile is a file whose reader waits until it is released.
type blockedFile struct{ release chan struct{} }

func (h blockedFile) ReadAt([]byte, int64) (int, error) {
	<-h.release
	return 0, io.EOF
}

// Extractions that never end delay other callers only for a limited time; later there is a free
// slot again.
func TestExtract_NoSlot_IsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := running
		defer func() { running = all }()
		running = make(chan struct{}, slots) // a channel of the bubble
		h := blockedFile{make(chan struct{})}
		var busy sync.WaitGroup
		for range slots {
			busy.Go(func() { _, _ = Extract(t.Context(), "slow.txt", "", h, 10, 100) })
		}
		synctest.Wait()
		begin := time.Now()
		if s, err := Extract(t.Context(), "a.txt", "", strings.NewReader("words"), 5, 100); core.KindOf(err) != core.KindTimeout || s != "" {
			t.Errorf("%q, %v, want a timeout", s, err)
		}
		if took := time.Since(begin); took != patience {
			t.Errorf("waited for %v", took)
		}
		close(h.release)
		busy.Wait()
		if got := extract(t, "a.txt", "", []byte("words"), 100); got != "words" {
			t.Errorf("%q", got)
		}
	})
}
