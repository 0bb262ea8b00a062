package text

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core/eventually"
)

// zipped returns a zip of pairs of name and content, in that order.
func zipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, parts[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	document = `<?xml version="1.0"?><w:document xmlns:w="w"><w:body><w:p><w:r><w:t>Grüße an</w:t></w:r><w:r><w:tab/><w:t>Ada &amp; Bob</w:t></w:r></w:p>` +
		`<w:p><w:r><w:instrText>HYPERLINK secret</w:instrText><w:delText>removed</w:delText><w:t>zweite</w:t></w:r></w:p></w:body></w:document>`
	footnotes = `<w:footnotes xmlns:w="w"><w:footnote><w:p><w:r><w:t>a note</w:t></w:r></w:p></w:footnote></w:footnotes>`
	odf       = `<office:document-content xmlns:office="o" xmlns:text="t"><office:body><text:h>Title</text:h><text:p>one<text:tab/>two<text:s/>three</text:p></office:body></office:document-content>`
	slide     = `<p:sld xmlns:p="p" xmlns:a="a"><a:p><a:r><a:t>slide %d</a:t></a:r></a:p></p:sld>`
)

// Each office format gives the words of its paragraphs, in order, without markup.
func TestExtract_Office(t *testing.T) {
	for name, c := range map[string]struct {
		parts []string
		want  string
	}{
		"a.docx": {[]string{"[Content_Types].xml", "<x>types</x>", "word/footnotes.xml", footnotes, "word/document.xml", document, "word/media/a.txt", "hidden"}, "Grüße an Ada & Bob\nzweite\na note"},
		"a.odt":  {[]string{"mimetype", "application/vnd.oasis.opendocument.text", "content.xml", odf, "meta.xml", "<m>author</m>"}, "Title\none two three"},
		"a.pptx": {[]string{"ppt/slides/slide10.xml", fmt.Sprintf(slide, 10), "ppt/slides/slide2.xml", fmt.Sprintf(slide, 2)}, "slide 2\nslide 10"},
		"a.xlsx": {[]string{"xl/sharedStrings.xml", "<sst><si><t>cell</t></si><si><t>other</t></si></sst>"}, "cell\nother"},
	} {
		if got := extract(t, name, "", zipped(t, c.parts...), 1000); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

// A document is recognised by its type if its name does not tell.
func TestExtract_OfficeByType(t *testing.T) {
	if got := extract(t, "upload", oasis+"text", zipped(t, "content.xml", odf), 1000); !strings.HasPrefix(got, "Title") {
		t.Errorf("%q", got)
	}
}

// HTML gives the displayed text, with entities decoded: no scripts, styles, comments or
// attributes.
func TestExtract_HTML(t *testing.T) {
	in := `<!doctype html><html><head><title>Title</title><style>p{color:red}</style><script>var s="<p>no</p>"</script></head>` +
		`<body><!-- no --><p class="no">Gr&uuml;&szlig;e <b>a</b>n&nbsp;Ada</p><div>two<br>three</div><svg><text>no</text></svg><template>no</template></body>`
	want := "Title\nGrüße an Ada\ntwo\nthree"
	if got := extract(t, "a.html", "", []byte(in), 1000); got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if got := extract(t, "a.htm", "", utf16LE(in), 1000); got != want {
		t.Errorf("utf-16: %q", got)
	}
}

func utf16LE(s string) []byte {
	b := []byte{0xff, 0xfe}
	for _, r := range s {
		b = binary.LittleEndian.AppendUint16(b, uint16(r))
	}
	return b
}

// bombs are small documents that are very expensive to read, by file name.
func bombs(t testing.TB) map[string][]byte {
	t.Helper()
	deep := strings.Repeat("<w:p>", 1_000_000)
	long := "<w:t>" + strings.Repeat("<!---->", 4_000_000)
	return map[string][]byte{
		"deep.docx":    zipped(t, "word/document.xml", deep),
		"ratio.docx":   zipped(t, "word/document.xml", long),
		"tag.docx":     zipped(t, "word/document.xml", "<w:t "+strings.Repeat("a", 24<<20)),
		"parts.odt":    manyParts(t, 30_000),
		"tag.html":     []byte("<p title='" + strings.Repeat("a", 10<<20)),
		"nested.html":  []byte(strings.Repeat("<div>", 500_000)),
		"zlib.pdf":     zlibBomb(),
		"forms.pdf":    formBomb(),
		"kids.pdf":     kidsLoop(),
		"ranges.pdf":   rangeBomb(),
		"nested.pdf":   []byte("%PDF-1.4\n1 0 obj " + strings.Repeat("[", 5_000_000)),
		"objects.pdf":  []byte("%PDF-1.4\n" + strings.Repeat("1 0 obj ", 500_000)),
		"streams.pdf":  streamBomb(),
		"numbers.pdf":  []byte("%PDF-1.4\ntrailer<</Root[" + strings.Repeat("1 ", 5_000_000)),
		"trailers.pdf": []byte("%PDF-1.4\n" + strings.Repeat("trailer<<", 1_000_000)),
	}
}

func manyParts(t testing.TB, n int) []byte {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf("part%d", i), "")
	}
	return zipped(t, parts...)
}

// No document takes longer than the time limit, or allocates more than 256 MB.
func TestExtract_Bombs(t *testing.T) {
	for name, in := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			got, err := Extract(t.Context(), name, "", bytes.NewReader(in), int64(len(in)), 64<<10)
			eventually.InTime(t, start, timeout+timeout/2)
			runtime.ReadMemStats(&after)
			used := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes in, %d out, %v, %d MB", len(in), len(got), err, used>>20)
			if used > 256<<20 || len(got) > 64<<10 {
				t.Errorf("%d MB, %d bytes", used>>20, len(got))
			}
		})
	}
}
