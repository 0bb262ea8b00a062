package text

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
)

const (
	maxDirectory = 1 << 20 // bytes of a zip's directory
	maxParts     = 2000    // parts of a document that are read
	maxDepth     = 256     // nesting of elements
)

// office describes a document of XML parts in a zip: which parts and which elements have text.
type office struct {
	parts    []string        // patterns of path.Match, in reading order
	words    map[string]bool // elements whose text counts; nil: all
	newlines map[string]bool // elements that end a line
	spaces   map[string]bool
}

var docx = office{
	parts:    []string{"word/document.xml", "word/header*.xml", "word/footer*.xml", "word/footnotes.xml", "word/endnotes.xml", "word/comments.xml"},
	words:    set("t"),
	newlines: set("p", "br", "cr"),
	spaces:   set("tab", "tc"),
}

var pptx = office{
	parts:    []string{"ppt/slides/slide*.xml", "ppt/notesSlides/notesSlide*.xml"},
	words:    set("t"),
	newlines: set("p", "br"),
}

var xlsx = office{
	parts:    []string{"xl/sharedStrings.xml", "xl/worksheets/sheet*.xml"},
	words:    set("t"),
	newlines: set("si", "is"),
}

var opendocument = office{
	parts:    []string{"content.xml"},
	newlines: set("p", "h", "line-break"),
	spaces:   set("s", "tab", "table-cell"),
}

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// extract reads the parts that have text. Only these are decompressed, and all from one budget,
// so a zip bomb of any ratio is stopped.
func (o office) extract(j *job, out *sink) error {
	files, err := directory(j)
	if err != nil {
		return err
	}
	for _, pattern := range o.parts {
		for _, f := range files {
			if ok, _ := path.Match(pattern, f.Name); !ok {
				continue
			}
			if err := o.part(j, f, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// directory returns the files of a zip in the order of their names.
func directory(j *job) ([]*zip.File, error) {
	rest := j.toRead - maxDirectory
	j.toRead = maxDirectory // archive/zip reads the whole directory, whatever its count says
	z, err := zip.NewReader(j, j.size)
	if err != nil {
		return nil, err
	}
	j.toRead += rest
	if len(z.File) > maxParts {
		return nil, errors.New("the zip has too many files")
	}
	files := slices.Clone(z.File)
	slices.SortStableFunc(files, func(a, b *zip.File) int { return numbered(a.Name, b.Name) })
	return files, nil
}

// numbered sorts slide2 before slide10.
func numbered(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func (o office) part(j *job, f *zip.File, out *sink) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return o.elements(xml.NewDecoder(j.unpacked(r)), out)
}

// elements reads one part. The decoder knows only XML's own entities, so nothing expands.
func (o office) elements(d *xml.Decoder, out *sink) error {
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var open []string
	for {
		token, err := d.RawToken()
		if err != nil {
			return ended(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if open = append(open, t.Name.Local); len(open) > maxDepth {
				return errLimit
			}
		case xml.EndElement:
			open = open[:max(0, len(open)-1)]
			o.gap(t.Name.Local, out)
		case xml.CharData:
			if o.words == nil || len(open) > 0 && o.words[open[len(open)-1]] {
				if err := out.add(string(t)); err != nil {
					return err
				}
			}
		}
	}
}

func (o office) gap(element string, out *sink) {
	switch { // pending white space always fits
	case o.newlines[element]:
		_ = out.add("\n")
	case o.spaces[element]:
		_ = out.add(" ")
	}
}
