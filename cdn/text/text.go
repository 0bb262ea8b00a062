// Package text finds the words in a file, so that the file can be searched for. It knows plain
// text, Markdown, HTML, the office formats that are XML in a zip, and PDF. It keeps no layout,
// runs no script, opens no attachment and follows no link, and it does not store what it finds.
//
// Files come from strangers, so every step is bounded inside: bytes read, bytes unpacked,
// entries, pages, depth of nesting, time. Nothing runs on after Extract has returned. At most
// two extractions run at once in a process, so memory is bounded too; other callers wait for one
// to end, but not for long: who sends hostile files must not hold up everybody's.
//
// Invariants: what Extract gives is valid UTF-8 without control characters except the newline,
// never longer than asked; the same bytes give the same text unless time ran out.
package text

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

const (
	slots    = 2
	timeout  = 10 * time.Second
	patience = 3 * timeout // for a slot

	maxRead   = 64 << 20 // bytes of a file that are looked at
	maxUnpack = 16 << 20 // bytes that compressed parts of a file may become
)

// running holds a token for each extraction that is going on.
var running = make(chan struct{}, slots)

// extractor writes the words of a file to out.
type extractor func(j *job, out *sink) error

// Extract gives the words of a file, at most max bytes of them. The name's extension says what
// the file is, or else mime. A file of no known kind gives "" and no error; one that reaches a limit gives
// what was found before it; a broken one gives core.KindInvalid, one for which there is no slot
// core.KindTimeout, and ctx ending gives its error.
func Extract(ctx context.Context, name, mime string, r io.ReaderAt, size int64, max int) (string, error) {
	extract := extractorFor(name, mime)
	if extract == nil || size <= 0 || max <= 0 {
		return "", nil
	}
	if err := enter(ctx); err != nil {
		return "", err
	}
	defer func() { <-running }()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := &sink{max: max}
	err := guarded(extract, &job{ctx: limited, file: r, size: size, toRead: maxRead, toUnpack: maxUnpack}, out)
	switch {
	case ctx.Err() != nil: // the caller's own end, whatever the parser made of it
		return "", core.AsError(ctx.Err())
	case err == nil, errors.Is(err, errLimit), out.len() > 0, limited.Err() != nil:
		return out.String(), nil
	}
	return "", core.E(core.KindInvalid, "a file without readable text").WithCause(err)
}

// enter waits for a slot.
func enter(ctx context.Context) error {
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case running <- struct{}{}:
		return nil
	case <-wait.C:
		return core.E(core.KindTimeout, "too many files are being read")
	case <-ctx.Done():
		return core.AsError(ctx.Err())
	}
}

// guarded makes a parser's panic an error: a stranger's file must not end the process.
func guarded(extract extractor, j *job, out *sink) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return extract(j, out)
}

// extractorFor gives nil for what has no words.
func extractorFor(name, mime string) extractor {
	if e := byExtension[strings.ToLower(path.Ext(name))]; e != nil {
		return e
	}
	kind, _, _ := strings.Cut(strings.ToLower(mime), ";")
	kind = strings.TrimSpace(kind)
	if e := byType[kind]; e != nil {
		return e
	}
	if strings.HasPrefix(kind, "text/") {
		return plain
	}
	return nil
}

var byExtension = map[string]extractor{
	".txt": plain, ".text": plain, ".log": plain, ".csv": plain, ".tsv": plain, ".json": plain, ".yaml": plain, ".yml": plain,
	".md": plain, ".markdown": plain, ".rst": plain, ".adoc": plain,
	".html": markup, ".htm": markup, ".xhtml": markup,
	".docx": docx.extract, ".pptx": pptx.extract, ".xlsx": xlsx.extract,
	".odt": opendocument.extract, ".odp": opendocument.extract, ".ods": opendocument.extract,
	".pdf": pdf,
}

const (
	openXML = "application/vnd.openxmlformats-officedocument."
	oasis   = "application/vnd.oasis.opendocument."
)

var byType = map[string]extractor{
	"application/json": plain, "application/xml": plain, "application/yaml": plain,
	"text/html": markup, "application/xhtml+xml": markup,
	openXML + "wordprocessingml.document":   docx.extract,
	openXML + "presentationml.presentation": pptx.extract,
	openXML + "spreadsheetml.sheet":         xlsx.extract,
	oasis + "text":                          opendocument.extract,
	oasis + "presentation":                  opendocument.extract,
	oasis + "spreadsheet":                   opendocument.extract,
	"application/pdf":                       pdf,
}
