package text

import (
	"bytes"
	"math"
)

// matrix maps text space to the page: a b c d rotate and scale, e f translate.
type matrix struct{ a, b, c, d, e, f float64 }

var upright = matrix{a: 1, d: 1}

// moved returns m after a translation in its own coordinates.
func (m matrix) moved(x, y float64) matrix {
	m.e, m.f = m.e+x*m.a+y*m.c, m.f+x*m.b+y*m.d
	return m
}

// show runs the operators of a page that place text. It finds spaces between words by the
// distance between one character and the next, as a human reader does.
type show struct {
	doc *pdfDocument
	out *sink

	font                        *pdfFont
	size, leading               float64
	charSpace, wordSpace, scale float64
	text, line                  matrix
	endX, endY                  float64 // where the last character ended
	shown                       bool    // something was shown on this page
	args                        pdfArray
}

func newShow(d *pdfDocument, out *sink) *show {
	return &show{doc: d, out: out, scale: 1, text: upright, line: upright}
}

const maxArgs = 64

func (s *show) run(content []byte, resources pdfDict, depth int) error {
	l := &pdfLexer{b: content, doc: s.doc}
	s.args = nil
	for {
		l.nodes = 0
		v, err := l.value(0)
		if err != nil {
			return err
		}
		op, ok := v.(pdfKeyword)
		if !ok {
			if len(s.args) < maxArgs {
				s.args = append(s.args, v)
			}
			continue
		}
		switch op {
		case pdfEnd:
			return nil
		case "ID":
			l.skipPicture()
		case "Do":
			err = s.form(resources, depth)
		default:
			err = s.operator(op, resources)
		}
		if err != nil {
			return err
		}
		s.args = s.args[:0]
	}
}

// skipPicture skips the bytes of an inline picture.
func (l *pdfLexer) skipPicture() {
	for l.pos < len(l.b) {
		n := bytes.Index(l.b[l.pos:], []byte("EI"))
		if n < 0 {
			l.pos = len(l.b)
			return
		}
		at := l.pos + n
		l.pos = at + 2
		if at > 0 && isPDFSpace(l.b[at-1]) && (l.pos == len(l.b) || isPDFSpace(l.b[l.pos])) {
			return
		}
	}
}

// number returns the i-th argument from the end, or zero.
func (s *show) number(fromEnd int) float64 {
	if fromEnd > len(s.args) {
		return 0
	}
	n, _ := s.args[len(s.args)-fromEnd].(float64)
	return n
}

func (s *show) last() any {
	if len(s.args) == 0 {
		return nil
	}
	return s.args[len(s.args)-1]
}

func (s *show) operator(op pdfKeyword, resources pdfDict) error {
	switch op {
	case "BT":
		s.text, s.line = upright, upright
	case "Tf":
		s.size = s.number(1)
		if len(s.args) >= 2 {
			name, _ := s.args[len(s.args)-2].(pdfName)
			s.font = s.doc.font(s.doc.dict(resources["Font"])[name])
		}
	case "TL":
		s.leading = s.number(1)
	case "Tc":
		s.charSpace = s.number(1)
	case "Tw":
		s.wordSpace = s.number(1)
	case "Tz":
		s.scale = s.number(1) / 100
	case "Tm":
		s.line = matrix{s.number(6), s.number(5), s.number(4), s.number(3), s.number(2), s.number(1)}
		s.text = s.line
	case "Td":
		s.move(s.number(2), s.number(1))
	case "TD":
		s.leading = -s.number(1)
		s.move(s.number(2), s.number(1))
	case "T*":
		s.move(0, -s.leading)
	case "Tj", "TJ":
		return s.show(s.last())
	case "'", "\"":
		s.move(0, -s.leading)
		return s.show(s.last())
	}
	return nil
}

func (s *show) move(x, y float64) {
	s.line = s.line.moved(x, y)
	s.text = s.line
}

// show processes a string, or an array of strings and distances between them.
func (s *show) show(v any) error {
	switch v := v.(type) {
	case pdfString:
		return s.write(v)
	case pdfArray:
		for _, part := range v {
			if step, ok := part.(float64); ok {
				s.text = s.text.moved(-step/1000*s.size*s.scale, 0)
			}
			if text, ok := part.(pdfString); ok {
				if err := s.write(text); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *show) write(codes pdfString) error {
	if s.font == nil {
		return nil
	}
	for _, g := range s.font.glyphs(codes) {
		if err := s.gap(); err != nil {
			return err
		}
		if err := s.out.add(g.text); err != nil {
			return err
		}
		advance := g.width/1000*s.size + s.charSpace
		if g.text == " " {
			advance += s.wordSpace
		}
		s.text = s.text.moved(advance*s.scale, 0)
		s.endX, s.endY, s.shown = s.text.e, s.text.f, true
	}
	return s.doc.work(len(codes))
}

// The distances that separate words and lines, as a fraction of the font size.
const (
	wordGap = 0.17
	backGap = 0.8
	lineGap = 0.4
)

// gap writes the white space before the next character.
func (s *show) gap() error {
	unit := math.Hypot(s.text.a, s.text.b)
	if !s.shown || unit == 0 {
		return nil
	}
	letter := math.Abs(s.size) * unit
	dx, dy := s.text.e-s.endX, s.text.f-s.endY
	along := (dx*s.text.a + dy*s.text.b) / unit
	across := (dy*s.text.a - dx*s.text.b) / unit
	switch {
	case math.Abs(across) > lineGap*letter:
		return s.out.add("\n")
	case along > wordGap*letter, along < -backGap*letter:
		return s.out.add(" ")
	}
	return nil
}

// form runs a form, which is page content in a separate object.
func (s *show) form(resources pdfDict, depth int) error {
	name, _ := s.last().(pdfName)
	ref, ok := s.doc.dict(resources["XObject"])[name].(pdfRef)
	if !ok || depth >= maxForms || s.doc.name(s.doc.dict(ref)["Subtype"]) != "Form" {
		return nil
	}
	if s.doc.forms++; s.doc.forms > maxFormRuns {
		return errLimit
	}
	dict, body, err := s.doc.stream(ref)
	if err != nil {
		if stop(err) {
			return err
		}
		return nil
	}
	if own := s.doc.dict(dict["Resources"]); own != nil {
		resources = own
	}
	inner := *s
	inner.text, inner.line, inner.args = upright, upright, nil
	if err := inner.run(body, resources, depth+1); err != nil {
		return err
	}
	s.endX, s.endY, s.shown = inner.endX, inner.endY, inner.shown
	return s.out.add(" ")
}
