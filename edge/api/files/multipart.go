package files

import (
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/nearside/nearside/edge/api"
)

// Limits of a multipart form, besides the files.
const (
	maxFormParts = 100
	maxFormField = 1 << 10
	formSlack    = 16 << 10 // bytes between the contents of two files: the headers, and what is read ahead
	maxBoundary  = 70       // RFC 2046
	tailBytes    = 8 << 10  // more than the standard library reads ahead
)

// form reads a multipart body part by part, without storing it.
type form struct {
	body     *incoming
	boundary string
	parts    *multipart.Reader
	count    int
	tail     []byte // the end of what has been read
}

// formPart is a field, or a file if the part has a file name, even an empty one.
type formPart struct {
	field, name string
	file        bool
	io.Reader   // its content; the next part ends it
}

// formBoundary returns the boundary of a multipart body; multi is false for any other body.
func formBoundary(h http.Header) (boundary string, multi bool, err error) {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.Get("Content-Type"))), "multipart/") {
		return "", false, nil
	}
	b := params["boundary"]
	if err != nil || kind != "multipart/form-data" || b == "" || len(b) > maxBoundary {
		return "", true, badForm.With("reason", "type")
	}
	return b, true, nil
}

func newForm(body *incoming, boundary string) *form {
	f := &form{body: body, boundary: boundary}
	f.parts = multipart.NewReader(formBody{f}, boundary)
	return f
}

// formBody reads the body for the form and stores its tail.
type formBody struct{ *form }

// Read implements io.Reader.
func (f formBody) Read(b []byte) (int, error) {
	n, err := f.body.Read(b)
	if len(f.tail)+n > 2*tailBytes {
		f.tail = append(f.tail[:0], f.tail[max(0, len(f.tail)-tailBytes):]...)
	}
	f.tail = append(f.tail, b[max(0, n-tailBytes):n]...)
	return n, err
}

// closed reports whether the form's end has been read. The standard library accepts a form that
// was cut off in the headers of a part; this can only happen at the end of the body.
func (f *form) closed() bool {
	end := "--" + f.boundary + "--"
	return !f.body.over.Load() || strings.HasPrefix(string(f.tail), end) || strings.Contains(string(f.tail), "\n"+end)
}

// next returns the next part; io.EOF after the last. Its other errors are for the client.
func (f *form) next() (*formPart, error) {
	if f.count++; f.count > maxFormParts {
		return nil, badForm.With("reason", "parts")
	}
	f.body.room = formSlack
	p, err := f.parts.NextRawPart()
	f.body.room = math.MaxInt64
	if err != nil {
		return nil, f.failed(err)
	}
	switch strings.ToLower(p.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
	default:
		return nil, badForm.With("reason", "encoding")
	}
	_, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil {
		return nil, badForm.With("reason", "name")
	}
	name, file := params["filename"]
	return &formPart{field: params["name"], name: name, file: file, Reader: formContent{f, p}}, nil
}

// failed returns the form's end: io.EOF, or an error for the client.
func (f *form) failed(err error) error {
	switch {
	case err == io.EOF && f.closed(): //nolint:errorlint // a wrapped one means that the closing boundary is missing
		return io.EOF
	case f.body.err != nil && !errors.Is(f.body.err, io.EOF):
		return f.body.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return cutShort(err)
	}
	return badForm.WithCause(err)
}

// drain reads what follows the last part, so that the connection can be used again.
func (f *form) drain() error {
	f.body.room = formSlack
	_, err := io.Copy(io.Discard, f.body)
	f.body.room = math.MaxInt64
	return err
}

// formContent is a part's content, with errors for the client.
type formContent struct {
	form *form
	part *multipart.Part
}

// Read implements io.Reader.
func (c formContent) Read(b []byte) (int, error) {
	n, err := c.part.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // as in failed
		err = c.form.failed(err)
	}
	return n, err
}

// text returns a field's value.
func (p *formPart) text() (string, error) {
	raw, err := io.ReadAll(io.LimitReader(p, maxFormField+1))
	switch {
	case err != nil:
		return "", err
	case len(raw) > maxFormField || !api.Plain(string(raw)):
		return "", badForm.With("reason", "field")
	}
	return string(raw), nil
}
