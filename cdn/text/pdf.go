package text

import (
	"context"
	"errors"
	"maps"
	"slices"
)

const (
	maxPages    = 2000
	maxTree     = 20_000 // nodes of the tree of pages
	maxForms    = 8      // nesting of forms
	maxFormRuns = 5000   // of a document
	maxContents = 1000   // streams of one page
)

// pdf extracts the text that a PDF's pages show, in the order in which they show it. It ignores
// pictures, attachments, form fields and everything encrypted.
func pdf(j *job, out *sink) error {
	d, err := openPDF(j)
	if err != nil {
		return err
	}
	root, err := d.root()
	if root == nil {
		return err
	}
	w := &pageWalk{doc: d, out: out, seen: map[pdfRef]bool{}}
	return w.node(root["Pages"], nil, 0)
}

// root returns the catalogue; nil and no error if the document is encrypted.
func (d *pdfDocument) root() (pdfDict, error) {
	trailers := d.trailers()
	for _, t := range trailers {
		if t["Encrypt"] != nil {
			return nil, nil
		}
	}
	for _, t := range trailers {
		if root := d.dict(t["Root"]); root["Pages"] != nil {
			return root, nil
		}
	}
	for _, number := range slices.Sorted(maps.Keys(d.places)) { // the file was cut before its trailer
		if root := d.dict(number); d.name(root["Type"]) == "Catalog" {
			return root, nil
		}
	}
	return nil, errPDF
}

// pageWalk walks the tree of pages.
type pageWalk struct {
	doc   *pdfDocument
	out   *sink
	seen  map[pdfRef]bool // nodes already visited: a node that contains itself would never end
	pages int
}

func (w *pageWalk) node(v any, resources any, depth int) error {
	if ref, ok := v.(pdfRef); ok {
		if w.seen[ref] {
			return nil
		}
		w.seen[ref] = true
	}
	if len(w.seen) > maxTree || depth > maxNested {
		return errLimit
	}
	d := w.doc.dict(v)
	if err := w.doc.work(1); err != nil {
		return err
	}
	if own := d["Resources"]; own != nil {
		resources = own
	}
	kids := w.doc.array(d["Kids"])
	if kids == nil {
		return w.page(d, resources)
	}
	for _, kid := range kids {
		if err := w.node(kid, resources, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *pageWalk) page(d pdfDict, resources any) error {
	if w.pages++; w.pages > maxPages {
		return errLimit
	}
	s := newShow(w.doc, w.out)
	contents := w.doc.array(d["Contents"])
	if ref, ok := d["Contents"].(pdfRef); ok && contents == nil {
		contents = pdfArray{ref}
	}
	var all []byte
	for _, c := range contents[:min(len(contents), maxContents)] {
		ref, _ := c.(pdfRef)
		_, body, err := w.doc.stream(ref)
		if stop(err) {
			return err
		}
		all = append(append(all, body...), '\n')
	}
	if err := s.run(all, w.doc.dict(resources), 0); stop(err) {
		return err
	}
	return w.out.add("\n")
}

// stop reports whether an error ends the extraction; other errors only skip a broken part.
func stop(err error) bool {
	return errors.Is(err, errLimit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
