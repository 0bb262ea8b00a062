package text

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
)

// pdfOf numbers objects from 1 and adds a trailer; object 1 is the catalogue.
func pdfOf(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	for i, o := range objects {
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	b.WriteString("trailer\n<< /Root 1 0 R >>\nstartxref\n0\n%%EOF\n")
	return b.Bytes()
}

func deflated(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func streamOf(dict, body string) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dict, len(body), body)
}

// onePage returns a document with one page, its content and two fonts: F1 is object 5, F2 object
// 6.
func onePage(content string, more ...string) []byte {
	return pdfOf(append([]string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 /Resources << /Font << /F1 5 0 R /F2 6 0 R >> /XObject << /X1 7 0 R >> >> >>",
		"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>",
		content,
	}, more...)...)
}

const (
	latin     = "<< /Type /Font /Subtype /Type1 /Encoding << /Differences [1 /fi /odieresis 65 /A /uni0042] >> /FirstChar 32 /Widths [250] >>"
	composite = "<< /Type /Font /Subtype /Type0 /Encoding /Identity-H /DescendantFonts [<< /DW 600 /W [1 [500 600] 5 9 700] >>] /ToUnicode 8 0 R >>"
	cmap      = "1 begincodespacerange <0000> <ffff> endcodespacerange 2 beginbfchar <0001> <0047> <0002> <00fc> endbfchar 2 beginbfrange <0003> <0004> <00df> <0005> <0006> [<0065> <D83DDE00>] endbfrange"
	page      = `BT /F1 12 Tf 1 0 0 1 72 700 Tm (Hello) Tj 0 -14 TD [(wo) 20 (rld) -400 (next)] TJ T* (\001ne \002 \101\102 \(x\)) ' ET
BI /W 1 /H 1 ID (not text) Tj EI
BT /F2 10 Tf 72 500 Td <00010002> Tj 12 0 Td <0003> Tj <00050006> Tj ET /X1 Do`
	form     = "BT /F1 9 Tf 10 10 Td (in a form) Tj ET"
	pageText = "Hello\nworld next\nfine ö AB (x)\nGü ße😀\nin a form"
)

func realPDF(filter, packed string) []byte {
	return onePage(streamOf(filter, packed), latin, composite, streamOf("/Subtype /Form", form), streamOf("/Filter /FlateDecode", deflated(cmap)))
}

// A page's words are extracted with its lines and spaces, whatever filter its stream has.
func TestExtract_PDF(t *testing.T) {
	for filter, packed := range map[string]string{
		"":                      page,
		"/Filter /FlateDecode":  deflated(page),
		"/Filter [/AHx]":        hex.EncodeToString([]byte(page)) + ">",
		"/Filter [/AHx /Fl]":    hex.EncodeToString([]byte(deflated(page))) + ">",
		"/Length 99999 /Broken": page,
	} {
		want := strings.ReplaceAll(pageText, "Gü ße", "Gü\u00dfe")
		if got := extract(t, "a.pdf", "", realPDF(filter, packed), 1000); got != want {
			t.Errorf("%s: %q, not %q", filter, got, want)
		}
	}
}

// Objects inside an object stream are found, and the latest version of an object is used.
func TestExtract_PDFObjectStreams(t *testing.T) {
	first, second := "<< /Type /Pages /Kids [3 0 R] >>", "<< /Type /Page /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
	head := fmt.Sprintf("2 0 3 %d ", len(first)+1)
	objects := streamOf(fmt.Sprintf("/Type /ObjStm /N 2 /First %d /Filter /FlateDecode", len(head)), deflated(head+first+" "+second))
	b := pdfOf("<< /Type /Catalog /Pages 2 0 R >>")
	b = append(b, "9 0 obj\n"+objects+"\nendobj\n5 0 obj\n"+latin+"\nendobj\n"...)
	b = append(b, "4 0 obj\n"+streamOf("", "BT /F1 9 Tf (old) Tj ET")+"\nendobj\n"...)
	b = append(b, "4 0 obj\n"+streamOf("", "BT /F1 9 Tf (new) Tj ET")+"\nendobj\n"...)
	if got := extract(t, "a.pdf", "", b, 1000); got != "new" {
		t.Errorf("%q", got)
	}
}

// An encrypted document has no words, and a file that is no PDF is refused as broken.
func TestExtract_PDFWithoutWords(t *testing.T) {
	b := bytes.Replace(realPDF("", page), []byte("/Root 1 0 R"), []byte("/Root 1 0 R /Encrypt 9 0 R"), 1)
	if got := extract(t, "a.pdf", "", b, 1000); got != "" {
		t.Errorf("encrypted: %q", got)
	}
	_, err := Extract(t.Context(), "a.pdf", "", strings.NewReader("nothing"), 7, 1000)
	if core.KindOf(err) != core.KindInvalid {
		t.Errorf("no pdf: %v", err)
	}
}

func zlibBomb() []byte {
	packed := deflated(deflated(strings.Repeat(" ", 64<<20)))
	return onePage(streamOf("/Filter [/FlateDecode /FlateDecode]", packed), latin, latin)
}

// formBomb has forms that include one another many times.
func formBomb() []byte {
	objects := []string{latin, latin}
	for i := range 8 {
		resources := fmt.Sprintf("/Subtype /Form /Resources << /Font << /F1 5 0 R >> /XObject << /X1 %d 0 R >> >>", 8+i)
		objects = append(objects, streamOf(resources, strings.Repeat("/X1 Do ", 200)))
	}
	return onePage(streamOf("", "/X1 Do"), objects...)
}

// kidsLoop is a tree of pages that contains itself, directly and indirectly.
func kidsLoop() []byte {
	kids := strings.Repeat("2 0 R 3 0 R ", 20_000)
	return pdfOf("<< /Type /Catalog /Pages 2 0 R >>", "<< /Kids ["+kids+"] >>", "<< /Kids ["+kids+"] >>")
}

// rangeBomb maps all codes many times.
func rangeBomb() []byte {
	ranges := "1 beginbfrange " + strings.Repeat("<0000> <ffff> <0041> ", 60_000) + " endbfrange"
	return onePage(streamOf("", page), latin, composite, streamOf("/Subtype /Form", form), streamOf("/Filter /FlateDecode", deflated(ranges)))
}

// streamBomb has many streams without an end; each extends over the whole rest of the file.
func streamBomb() []byte {
	var b strings.Builder
	b.WriteString("%PDF-1.4\n")
	for i := range 50_000 {
		fmt.Fprintf(&b, "%d 0 obj <</Type/ObjStm/N 9/First 9>> stream\n", i+1)
	}
	return []byte(b.String())
}

// Hostile documents of every kind give clean text of bounded length, or an error of ours.
func FuzzExtract(f *testing.F) {
	f.Add("a.pdf", realPDF("", page))
	f.Add("a.pdf", realPDF("/Filter /FlateDecode", deflated(page)))
	f.Add("a.docx", zipped(f, "word/document.xml", document))
	f.Add("a.odt", zipped(f, "content.xml", odf))
	f.Add("a.html", []byte("<p>a<script>b</script>c"))
	f.Add("a.txt", []byte("\xff\xfea\x00b\x00"))
	f.Fuzz(func(t *testing.T, name string, b []byte) { checkExtract(t, name, b) })
}

// Any page content gives text of bounded length.
func FuzzPDFPage(f *testing.F) {
	f.Add([]byte(page), []byte(cmap))
	f.Fuzz(func(t *testing.T, content, table []byte) {
		checkExtract(t, "a.pdf", onePage(streamOf("", string(content)), latin, composite, streamOf("/Subtype /Form", form), streamOf("", string(table))))
	})
}

// Any part of an office document gives text of bounded length.
func FuzzOffice(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(odf))
	f.Fuzz(func(t *testing.T, part []byte) {
		checkExtract(t, "a.docx", zipped(t, "word/document.xml", string(part)))
		checkExtract(t, "a.odt", zipped(t, "content.xml", string(part)))
	})
}

func checkExtract(t *testing.T, name string, b []byte) {
	const max = 500
	got, err := Extract(t.Context(), name, "", bytes.NewReader(b), int64(len(b)), max)
	if err != nil && core.KindOf(err) != core.KindInvalid {
		t.Fatalf("%v", err)
	}
	if len(got) > max || got != strings.ToValidUTF8(got, "") || strings.ContainsAny(got, "\x00\x1b\r\t") {
		t.Fatalf("%q", got)
	}
}
