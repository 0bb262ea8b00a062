package text

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"sort"
	"strconv"

	"golang.org/x/image/tiff/lzw"
)

const (
	maxPDF     = 32 << 20  // bytes of a file; it is held in memory
	maxWork    = 128 << 20 // bytes that are parsed or searched; repeated ones count again
	maxObjects = 300_000
	maxHops    = 16 // references to references
	maxFilters = 4
	maxFonts   = 1000
)

var errPDF = errors.New("the pdf is broken")

// place is where an object begins: in the file, or in a decompressed object stream.
type place struct {
	b   []byte
	pos int
	age int // a later object replaces an earlier one of its number
}

// pdfDocument is a PDF whose objects were found by searching the file: in broken files the
// cross-reference tables are usually what is broken, and hostile files have false ones.
type pdfDocument struct {
	job    *job
	left   int // remaining work budget
	forms  int // forms run so far
	b      []byte
	places map[pdfRef]place
	fonts  map[pdfRef]*pdfFont
}

// work charges n bytes.
func (d *pdfDocument) work(n int) error {
	if d.left -= n; d.left < 0 {
		return errLimit
	}
	return d.job.ctx.Err()
}

func openPDF(j *job) (*pdfDocument, error) {
	if j.size > maxPDF {
		return nil, errLimit
	}
	b, err := io.ReadAll(j.whole())
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(b[:min(1024, len(b))], []byte("%PDF-")) {
		return nil, errPDF
	}
	d := &pdfDocument{job: j, left: maxWork, b: b, places: map[pdfRef]place{}, fonts: map[pdfRef]*pdfFont{}}
	starts, err := d.findObjects()
	if err != nil {
		return nil, err
	}
	return d, d.openStreams(starts)
}

// findObjects records every "7 0 obj" and returns the objects in the order of their places.
func (d *pdfDocument) findObjects() (starts []pdfRef, err error) {
	for at := 0; ; {
		n := bytes.Index(d.b[at:], []byte("obj"))
		if n < 0 {
			return starts, d.work((len(d.b) - at) / 8)
		}
		if err := d.work(n/8 + 1); err != nil {
			return nil, err
		}
		at += n + 3
		number, ok := numberBefore(d.b[:at-3])
		if !ok {
			continue
		}
		if len(d.places) >= maxObjects {
			return nil, errLimit
		}
		d.places[number] = place{d.b, at, at}
		starts = append(starts, number)
	}
}

// numberBefore reads the 7 of "7 0 ", backwards.
func numberBefore(b []byte) (pdfRef, bool) {
	b = b[max(0, len(b)-32):]
	b = bytes.TrimRight(b, " \r\n\t\x00")
	rest := bytes.TrimRight(b, "0123456789")
	front := bytes.TrimRight(rest, " \r\n\t\x00")
	digits := front[len(bytes.TrimRight(front, "0123456789")):]
	n, err := strconv.ParseInt(string(digits), 10, 32)
	return pdfRef(n), err == nil && len(rest) < len(b) && len(front) < len(rest)
}

// openStreams decompresses the streams that contain objects.
func (d *pdfDocument) openStreams(numbers []pdfRef) error {
	for _, n := range numbers {
		p := d.places[n]
		head := p.b[p.pos:min(len(p.b), p.pos+512)]
		if end := bytes.Index(head, []byte("stream")); end >= 0 {
			head = head[:end]
		}
		if !bytes.Contains(head, []byte("/ObjStm")) || p.age != p.pos {
			continue
		}
		dict, body, err := d.stream(n)
		if err != nil {
			continue
		}
		if err := d.objectsIn(dict, body, p.age); err != nil {
			return err
		}
	}
	return nil
}

func (d *pdfDocument) objectsIn(dict pdfDict, body []byte, age int) error {
	first, count := d.integer(dict["First"]), d.integer(dict["N"])
	l := &pdfLexer{b: body, doc: d}
	for range count {
		number, err := l.value(0)
		if err != nil {
			return err
		}
		offset, err := l.value(0)
		if err != nil {
			return err
		}
		n, ok := number.(float64)
		at, ok2 := offset.(float64)
		if !ok || !ok2 || at < 0 || first+int(at) >= len(body) || len(d.places) >= maxObjects {
			return nil
		}
		if old := d.places[pdfRef(n)]; old.age < age {
			d.places[pdfRef(n)] = place{body, first + int(at), age}
		}
	}
	return nil
}

// resolve follows references; a missing object is null.
func (d *pdfDocument) resolve(v any) any {
	for range maxHops {
		ref, ok := v.(pdfRef)
		if !ok {
			return v
		}
		p, ok := d.places[ref]
		if !ok {
			return nil
		}
		l := &pdfLexer{b: p.b, pos: p.pos, doc: d}
		got, err := l.value(0)
		if err != nil {
			return nil
		}
		v = l.maybeReference(got)
	}
	return nil
}

// maybeReference reads on if an object is itself a reference, "7 0 R".
func (l *pdfLexer) maybeReference(v any) any {
	n, ok := v.(float64)
	if !ok {
		return v
	}
	pos := l.pos
	_, err := l.value(0)
	if r, err2 := l.value(0); err == nil && err2 == nil && r == pdfKeyword("R") {
		return pdfRef(n)
	}
	l.pos = pos
	return v
}

func (d *pdfDocument) dict(v any) pdfDict   { m, _ := d.resolve(v).(pdfDict); return m }
func (d *pdfDocument) array(v any) pdfArray { a, _ := d.resolve(v).(pdfArray); return a }
func (d *pdfDocument) name(v any) pdfName   { n, _ := d.resolve(v).(pdfName); return n }
func (d *pdfDocument) number(v any) float64 { n, _ := d.resolve(v).(float64); return n }
func (d *pdfDocument) integer(v any) int    { return clampInt(d.number(v)) }

func clampInt(n float64) int {
	if !(n > -1e9 && n < 1e9) {
		return 0
	}
	return int(n)
}

// stream returns an object's dictionary and its decompressed bytes.
func (d *pdfDocument) stream(n pdfRef) (pdfDict, []byte, error) {
	p, ok := d.places[n]
	if !ok {
		return nil, nil, errPDF
	}
	l := &pdfLexer{b: p.b, pos: p.pos, doc: d}
	v, err := l.value(0)
	if err != nil {
		return nil, nil, err
	}
	dict, ok := v.(pdfDict)
	l.skipSpace()
	rest := l.b[min(l.pos, len(l.b)):]
	if !ok || !bytes.HasPrefix(rest, []byte("stream")) {
		return nil, nil, errPDF
	}
	rest = bytes.TrimPrefix(rest[6:], []byte("\r"))
	raw, err := d.raw(bytes.TrimPrefix(rest, []byte("\n")), d.integer(dict["Length"]))
	if err != nil {
		return nil, nil, err
	}
	body, err := d.unpack(dict, raw)
	return dict, body, err
}

// raw uses a stream's length only if the stream ends there.
func (d *pdfDocument) raw(b []byte, length int) ([]byte, error) {
	mark := []byte("endstream")
	if length > 0 && length <= len(b) && bytes.HasPrefix(bytes.TrimLeft(b[length:min(len(b), length+16)], "\r\n "), mark) {
		return b[:length], nil
	}
	end := bytes.Index(b, mark)
	if end < 0 {
		end = len(b)
	}
	return b[:end], d.work(end / 8)
}

func (d *pdfDocument) unpack(dict pdfDict, raw []byte) ([]byte, error) {
	filters, ok := d.resolve(dict["Filter"]).(pdfArray)
	if one := d.name(dict["Filter"]); !ok && one != "" {
		filters = pdfArray{one}
	}
	if len(filters) > maxFilters {
		return nil, errLimit
	}
	if d.predicted(dict["DecodeParms"]) {
		return nil, errPDF
	}
	for _, f := range filters {
		r, err := filter(d.name(f), raw)
		if err != nil {
			return nil, err
		}
		out, err := io.ReadAll(d.job.unpacked(r))
		if err != nil && len(out) == 0 || errors.Is(err, errLimit) {
			return nil, err
		}
		raw = out // a stream with a broken end is used up to there
	}
	return raw, nil
}

// predicted reports a filter for pictures and tables, which is never used for text.
func (d *pdfDocument) predicted(v any) bool {
	params := d.array(v)
	if params == nil {
		params = pdfArray{v}
	}
	return slices.ContainsFunc(params, func(p any) bool { return d.number(d.dict(p)["Predictor"]) > 1 })
}

func filter(name pdfName, b []byte) (io.Reader, error) {
	r := bytes.NewReader(b)
	switch name {
	case "FlateDecode", "Fl":
		return zlib.NewReader(r)
	case "LZWDecode", "LZW":
		return lzw.NewReader(r, lzw.MSB, 8), nil
	case "ASCIIHexDecode", "AHx":
		b, _, _ = bytes.Cut(b, []byte(">"))
		return hex.NewDecoder(bytes.NewReader(without(b, " \r\n\t\f\x00"))), nil
	case "ASCII85Decode", "A85":
		b, _, _ = bytes.Cut(b, []byte("~"))
		return ascii85.NewDecoder(bytes.NewReader(b)), nil
	}
	return nil, errPDF
}

func without(b []byte, chars string) []byte {
	return bytes.Map(func(r rune) rune {
		if r < 128 && bytes.IndexByte([]byte(chars), byte(r)) >= 0 {
			return -1
		}
		return r
	}, b)
}

// trailers returns the dictionaries that name a document's root, the last first.
func (d *pdfDocument) trailers() (out []pdfDict) {
	type found struct {
		at   int
		dict pdfDict
	}
	var all []found
	for _, mark := range []string{"trailer", "/XRef"} {
		at := len(d.b)
		for range 16 {
			if at = bytes.LastIndex(d.b[:at], []byte(mark)); at < 0 || d.work((len(d.b)-at)/8) != nil {
				break
			}
			start := at + len(mark)
			if mark == "/XRef" {
				start = max(0, bytes.LastIndex(d.b[:at], []byte("obj"))) + 3
			}
			l := &pdfLexer{b: d.b, pos: min(start, len(d.b)), doc: d}
			if v, err := l.value(0); err == nil {
				if dict, ok := v.(pdfDict); ok {
					all = append(all, found{at, dict})
				}
			}
		}
	}
	sort.SliceStable(all, func(i, k int) bool { return all[i].at > all[k].at })
	for _, f := range all {
		out = append(out, f.dict)
	}
	return out
}
