package text

import (
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

const (
	maxCodes   = 1 << 16 // characters that one font maps
	maxMapped  = 64      // bytes of text for one character
	mapWork    = 16      // cost of an entry of a map, in bytes parsed
	usualWidth = 500     // width of a character if its font does not say, in thousandths
)

// pdfFont says what a font's codes mean and how wide they are. The font program itself is not
// read: text in a font without glyph names is not found.
type pdfFont struct {
	wide   bool // codes have two bytes
	text   map[int]string
	widths map[int]float64
	usual  float64
}

type glyph struct {
	text  string
	width float64 // in thousandths of the font size
}

func (f *pdfFont) glyphs(codes pdfString) []glyph {
	step := 1
	if f.wide {
		step = 2
	}
	out := make([]glyph, 0, len(codes)/step)
	for i := 0; i+step <= len(codes); i += step {
		code := int(codes[i])
		if f.wide {
			code = code<<8 | int(codes[i+1])
		}
		width, ok := f.widths[code]
		if !ok {
			width = f.usual
		}
		out = append(out, glyph{f.text[code], width})
	}
	return out
}

// font reads a font, and caches it.
func (d *pdfDocument) font(v any) *pdfFont {
	ref, _ := v.(pdfRef)
	if f := d.fonts[ref]; f != nil {
		return f
	}
	dict := d.dict(v)
	if dict == nil || len(d.fonts) >= maxFonts || d.work(256*mapWork) != nil {
		return nil
	}
	f := &pdfFont{text: map[int]string{}, widths: map[int]float64{}, usual: usualWidth}
	if d.name(dict["Subtype"]) == "Type0" {
		d.composite(f, dict)
	} else {
		d.simple(f, dict)
	}
	if ref, ok := dict["ToUnicode"].(pdfRef); ok {
		d.toUnicode(f, ref)
	}
	if ref != 0 {
		d.fonts[ref] = f
	}
	return f
}

// composite reads a font of two-byte codes; only its ToUnicode table says what they mean.
func (d *pdfDocument) composite(f *pdfFont, dict pdfDict) {
	f.wide, f.usual = true, 1000
	kids := d.array(dict["DescendantFonts"])
	if len(kids) == 0 {
		return
	}
	kid := d.dict(kids[0])
	if w := d.number(kid["DW"]); w > 0 {
		f.usual = w
	}
	d.wideWidths(f, d.array(kid["W"]))
}

// wideWidths reads "first [w w w]" and "first last w".
func (d *pdfDocument) wideWidths(f *pdfFont, w pdfArray) {
	for i := 0; i+1 < len(w); {
		first := d.integer(w[i])
		if list := d.array(w[i+1]); list != nil {
			for k, width := range list {
				f.width(first+k, d.number(width))
			}
			i += 2
			continue
		}
		if i+2 >= len(w) {
			return
		}
		last, width := min(d.integer(w[i+1]), maxCodes), d.number(w[i+2])
		if d.work(mapWork*max(0, last-first)) != nil {
			return
		}
		for code := max(0, first); code <= last; code++ {
			f.width(code, width)
		}
		i += 3
	}
}

func (f *pdfFont) width(code int, w float64) {
	if code >= 0 && code < maxCodes {
		f.widths[code] = w
	}
}

// simple reads a font of one-byte codes, whose encoding has names.
func (d *pdfDocument) simple(f *pdfFont, dict pdfDict) {
	encoding := dict["Encoding"]
	base := d.name(encoding)
	own := d.dict(encoding)
	if own != nil {
		base = d.name(own["BaseEncoding"])
	}
	for code := range 256 {
		if r := codeIn(base, byte(code)); r >= ' ' && r != '\ufffd' {
			f.text[code] = unjoined(string(r))
		}
	}
	code := 0
	for _, v := range d.array(own["Differences"]) {
		switch v := d.resolve(v).(type) {
		case float64:
			code = clampInt(v)
		case pdfName:
			if code >= 0 && code < 256 {
				f.text[code] = glyphText(string(v))
			}
			code++
		}
	}
	first := d.integer(dict["FirstChar"])
	for i, w := range d.array(dict["Widths"]) {
		if n := d.number(w); n > 0 {
			f.width(first+i, n)
		}
	}
}

func codeIn(base pdfName, code byte) rune {
	if base == "MacRomanEncoding" {
		return charmap.Macintosh.DecodeByte(code)
	}
	return charmap.Windows1252.DecodeByte(code)
}

// unjoined splits ligatures, so that "office" is found.
func unjoined(s string) string {
	for _, r := range s {
		if r >= 0xfb00 && r <= 0xfb06 {
			return norm.NFKC.String(s)
		}
	}
	return s
}

// toUnicode reads a font's table from codes to characters.
func (d *pdfDocument) toUnicode(f *pdfFont, ref pdfRef) {
	_, body, err := d.stream(ref)
	if err != nil {
		return
	}
	l := &pdfLexer{b: body, doc: d}
	var args pdfArray
	for {
		l.nodes = 0
		v, err := l.value(0)
		if err != nil || v == pdfEnd {
			return
		}
		switch v {
		case pdfKeyword("endbfchar"):
			f.bfchar(args)
		case pdfKeyword("endbfrange"):
			d.bfrange(f, args)
		}
		if _, op := v.(pdfKeyword); op {
			args = args[:0]
		} else if len(args) < maxNodes {
			args = append(args, v)
		}
	}
}

func (f *pdfFont) bfchar(args pdfArray) {
	for i := 0; i+1 < len(args); i += 2 {
		from, ok := args[i].(pdfString)
		to, ok2 := args[i+1].(pdfString)
		if ok && ok2 {
			f.set(codeOf(from), utf16BE(to))
		}
	}
}

func (d *pdfDocument) bfrange(f *pdfFont, args pdfArray) {
	for i := 0; i+2 < len(args); i += 3 {
		low, ok := args[i].(pdfString)
		high, ok2 := args[i+1].(pdfString)
		if !ok || !ok2 {
			return
		}
		first, last := codeOf(low), min(codeOf(high), maxCodes-1)
		if d.work(mapWork*max(0, last-first)) != nil { // a few bytes may map all codes
			return
		}
		switch to := args[i+2].(type) {
		case pdfString:
			f.run(first, last, []rune(utf16BE(to)))
		case pdfArray:
			for k, v := range to {
				if s, ok := v.(pdfString); ok && first+k <= last {
					f.set(first+k, utf16BE(s))
				}
			}
		}
	}
}

// run maps consecutive codes to consecutive characters.
func (f *pdfFont) run(first, last int, to []rune) {
	if len(to) == 0 {
		return
	}
	for code := first; code <= last; code++ {
		f.set(code, string(to))
		to[len(to)-1]++
	}
}

func (f *pdfFont) set(code int, text string) {
	if code >= 0 && code < maxCodes && len(text) <= maxMapped {
		f.text[code] = unjoined(text)
	}
}

func codeOf(s pdfString) int {
	n := 0
	for i := 0; i < len(s) && i < 4; i++ {
		n = n<<8 | int(s[i])
	}
	return n
}

func utf16BE(s pdfString) string {
	s = s[:min(len(s), maxMapped)]
	units := make([]uint16, 0, len(s)/2)
	for i := 0; i+1 < len(s); i += 2 {
		units = append(units, uint16(s[i])<<8|uint16(s[i+1]))
	}
	return strings.ToValidUTF8(string(utf16.Decode(units)), "")
}
