package text

import (
	"bytes"
	"errors"
	"io"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxToken bounds one tag or one run of text: the tokenizer holds it in memory.
const maxToken = 8 << 20

// inline has the tags that do not end a line.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.Abbr: true, atom.B: true, atom.Bdi: true, atom.Bdo: true, atom.Cite: true, atom.Code: true,
	atom.Del: true, atom.Em: true, atom.Font: true, atom.I: true, atom.Ins: true, atom.Kbd: true, atom.Mark: true,
	atom.Q: true, atom.S: true, atom.Small: true, atom.Span: true, atom.Strong: true, atom.Sub: true, atom.Sup: true,
	atom.U: true, atom.Var: true, atom.Wbr: true,
}

// silent has the tags whose content is not displayed.
var silent = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Noscript: true, atom.Template: true, atom.Iframe: true,
	atom.Noembed: true, atom.Noframes: true, atom.Svg: true, atom.Math: true,
}

// markup extracts the displayed text of HTML.
func markup(j *job, out *sink) error {
	src, err := utf8Reader(j.whole())
	if err != nil {
		return ended(err)
	}
	z := html.NewTokenizer(src)
	z.SetMaxBuf(maxToken)
	var muted atom.Atom // the tag whose content is being skipped, up to its end tag
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return ended(unlessLong(z.Err()))
		}
		if kind == html.TextToken {
			if muted == 0 {
				if err := out.add(string(z.Text())); err != nil {
					return err
				}
			}
			continue
		}
		name, _ := z.TagName()
		tag := atom.Lookup(name)
		switch {
		case muted != 0:
			if kind == html.EndTagToken && tag == muted {
				muted = 0
			}
		case kind == html.StartTagToken && silent[tag]:
			muted = tag
		case (kind == html.StartTagToken || kind == html.EndTagToken || kind == html.SelfClosingTagToken) && !inline[tag]:
			_ = out.add("\n") // pending white space always fits
		}
	}
}

// unlessLong treats a token over its limit as the end of the text.
func unlessLong(err error) error {
	if errors.Is(err, html.ErrBufferExceeded) {
		return errLimit
	}
	return err
}

// utf8Reader detects UTF-16 and UTF-8 by their byte order marks, and passes anything else
// through: the sink removes bytes that are not UTF-8, so of other encodings only the letters
// beyond ASCII are lost.
func utf8Reader(r io.Reader) (io.Reader, error) {
	head := make([]byte, 2)
	n, err := io.ReadFull(r, head)
	if err != nil {
		return nil, err
	}
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	if !bytes.Equal(head, []byte{0xff, 0xfe}) && !bytes.Equal(head, []byte{0xfe, 0xff}) {
		return r, nil
	}
	return &decoded{r: r, decode: decoderFor(head)}, nil
}

// decoded is a reader's bytes as UTF-8.
type decoded struct {
	r      io.Reader
	decode func([]byte) (string, int)
	rest   []byte // half of a character
	ready  []byte
	err    error
}

func (d *decoded) Read(p []byte) (int, error) {
	for len(d.ready) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		buf := make([]byte, len(d.rest)+chunkBytes)
		n := copy(buf, d.rest)
		m, err := d.r.Read(buf[n:])
		text, used := d.decode(buf[:n+m])
		d.ready, d.rest, d.err = []byte(text), bytes.Clone(buf[used:n+m]), err
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}
