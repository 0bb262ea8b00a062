package text

import (
	"bytes"
	"strconv"
)

// The kinds of a PDF's objects; numbers are float64, and nil is null.
type (
	pdfName    string
	pdfString  string
	pdfArray   []any
	pdfDict    map[pdfName]any
	pdfRef     int // the number of an object; the generation is ignored
	pdfKeyword string
)

// pdfEnd is what a lexer returns at the end of its bytes.
const pdfEnd = pdfKeyword("")

const (
	maxNested = 64
	maxNodes  = 200_000 // values in one object
)

// pdfLexer reads objects and keywords. It skips broken input, so every call makes progress. Work
// is charged to the document's budget.
type pdfLexer struct {
	b     []byte
	pos   int
	doc   *pdfDocument
	nodes int
}

// value reads one object or keyword.
func (l *pdfLexer) value(depth int) (any, error) {
	start := l.pos
	v, err := l.read(depth)
	if err == nil {
		err = l.doc.work(l.pos - start + 1)
	}
	return v, err
}

func (l *pdfLexer) read(depth int) (any, error) {
	l.skipSpace()
	if l.nodes++; l.nodes > maxNodes || depth > maxNested {
		return nil, errLimit
	}
	if l.pos >= len(l.b) {
		return pdfEnd, nil
	}
	c := l.b[l.pos]
	switch {
	case c == '/':
		l.pos++
		return l.name(), nil
	case c == '(':
		return l.literal(), nil
	case bytes.HasPrefix(l.b[l.pos:], []byte("<<")):
		l.pos += 2
		return l.dict(depth)
	case c == '<':
		return l.hex(), nil
	case c == '[':
		l.pos++
		return l.array(depth)
	case c == ']', c == '{', c == '}', c == ')':
		l.pos++
		return pdfKeyword(c), nil
	case c == '>':
		l.pos += min(2, len(l.b)-l.pos)
		return pdfKeyword(">>"), nil
	}
	return l.word(), nil
}

func (l *pdfLexer) skipSpace() {
	for l.pos < len(l.b) {
		switch {
		case isPDFSpace(l.b[l.pos]):
			l.pos++
		case l.b[l.pos] == '%':
			end := bytes.IndexAny(l.b[l.pos:], "\r\n")
			if end < 0 {
				end = len(l.b) - l.pos
			}
			l.pos += end
		default:
			return
		}
	}
}

func isPDFSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isRegular(c byte) bool {
	return !isPDFSpace(c) && bytes.IndexByte([]byte("()<>[]{}/%"), c) < 0
}

// regular returns the characters up to a space or a delimiter.
func (l *pdfLexer) regular() []byte {
	start := l.pos
	for l.pos < len(l.b) && isRegular(l.b[l.pos]) {
		l.pos++
	}
	return l.b[start:l.pos]
}

func (l *pdfLexer) name() pdfName {
	raw := l.regular()
	if bytes.IndexByte(raw, '#') < 0 {
		return pdfName(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '#' && i+2 < len(raw) {
			if v, err := strconv.ParseUint(string(raw[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(v))
				i += 2
				continue
			}
		}
		out = append(out, raw[i])
	}
	return pdfName(out)
}

// word returns a number or a keyword.
func (l *pdfLexer) word() any {
	raw := l.regular()
	if c := raw[0]; c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
		if n, err := strconv.ParseFloat(string(raw), 64); err == nil {
			return n
		}
		return float64(0)
	}
	switch string(raw) {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	return pdfKeyword(raw)
}

func (l *pdfLexer) hex() pdfString {
	l.pos++
	var out []byte
	var half byte
	digits := 0
	for l.pos < len(l.b) {
		c := l.b[l.pos]
		l.pos++
		if c == '>' {
			break
		}
		v, ok := hexDigit(c)
		if !ok {
			continue
		}
		if digits++; digits%2 == 1 {
			half = v << 4
		} else {
			out = append(out, half|v)
		}
	}
	if digits%2 == 1 {
		out = append(out, half)
	}
	return pdfString(out)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// literal reads a string in parentheses, which may contain parentheses.
func (l *pdfLexer) literal() pdfString {
	l.pos++
	var out []byte
	for open := 1; l.pos < len(l.b); {
		c := l.b[l.pos]
		l.pos++
		switch c {
		case '(':
			open++
		case ')':
			if open--; open == 0 {
				return pdfString(out)
			}
		case '\\':
			out = l.escape(out)
			continue
		}
		out = append(out, c)
	}
	return pdfString(out)
}

var pdfEscapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f'}

func (l *pdfLexer) escape(out []byte) []byte {
	if l.pos >= len(l.b) {
		return out
	}
	c := l.b[l.pos]
	l.pos++
	if v, ok := pdfEscapes[c]; ok {
		return append(out, v)
	}
	switch {
	case c == '\r':
		if l.pos < len(l.b) && l.b[l.pos] == '\n' {
			l.pos++
		}
		return out
	case c == '\n':
		return out
	case c < '0' || c > '7':
		return append(out, c)
	}
	v := int(c - '0')
	for range 2 {
		if l.pos < len(l.b) && l.b[l.pos] >= '0' && l.b[l.pos] <= '7' {
			v = v<<3 | int(l.b[l.pos]-'0')
			l.pos++
		}
	}
	return append(out, byte(v))
}

func (l *pdfLexer) array(depth int) (any, error) {
	var out pdfArray
	for {
		v, err := l.read(depth + 1)
		if err != nil {
			return nil, err
		}
		switch v {
		case pdfKeyword("]"), pdfEnd, pdfKeyword("endobj"):
			return out, nil
		case pdfKeyword("R"):
			out = reference(out)
			continue
		}
		out = append(out, v)
	}
}

// reference replaces the last two numbers, before an R, by one reference.
func reference(out pdfArray) pdfArray {
	if len(out) < 2 {
		return out
	}
	n, _ := out[len(out)-2].(float64)
	return append(out[:len(out)-2], pdfRef(n))
}

func (l *pdfLexer) dict(depth int) (any, error) {
	var flat pdfArray
	for {
		v, err := l.read(depth + 1)
		if err != nil {
			return nil, err
		}
		switch v {
		case pdfKeyword(">>"), pdfEnd, pdfKeyword("endobj"), pdfKeyword("stream"):
			return pairs(flat), nil
		case pdfKeyword("R"):
			flat = reference(flat)
			continue
		}
		flat = append(flat, v)
	}
}

// pairs makes a dictionary of names and values; a name without a value is dropped.
func pairs(flat pdfArray) pdfDict {
	d := pdfDict{}
	for i := 0; i+1 < len(flat); i++ {
		if key, ok := flat[i].(pdfName); ok {
			d[key] = flat[i+1]
			i++
		}
	}
	return d
}
