// Package text extracts the words of a file, so that the file can be found by a search. It reads
// plain text, Markdown, HTML, the office formats that are XML in a zip, and PDF. It keeps no
// layout, runs no script, opens no attachment, follows no link, and stores nothing.
//
// Files may be hostile, so every step has a bound: bytes read, bytes decompressed, entries,
// pages, nesting and time. Nothing runs after Extract has returned. At most two extractions run
// at once in a process, so memory is bounded too. Other callers wait for one to end, but not
// long, so that hostile files do not hold up everybody else's.
//
// Invariants: the result of Extract is valid UTF-8 without control characters except the newline,
// and never longer than max. The same bytes give the same text, unless time ran out.
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
	patience = 3 * timeout // longest wait for a slot

	maxRead   = 64 << 20 // bytes of a file that are read
	maxUnpack = 16 << 20 // decompressed bytes of one file
)

// running holds a token for each extraction in progress.
var running = make(chan struct{}, slots)

// extractor writes the words of a file to out.
type extractor func(j *job, out *sink) error

// Extract returns the words of a file, at most max bytes. The name's extension determines the
// kind of file, or else mime. An unknown kind gives "" and no error. At a limit, the text found
// so far is returned. Errors: core.KindInvalid if the file is broken, core.KindTimeout if no slot
// became free, and ctx's error if ctx ended.
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
	case ctx.Err() != nil: // whatever error the parser made of it
		return "", core.AsError(ctx.Err())
	case err == nil, errors.Is(err, errLimit), out.len() > 0, limited.Err() != nil:
		return out.String(), nil
	}
	return "", core.E(core.KindInvalid, "the file has no readable text").WithCause(err)
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

// guarded turns a parser's panic into an error: a hostile file must not end the process.
func guarded(extract extractor, j *job, out *sink) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return extract(j, out)
}

// extractorFor returns nil for kinds of files without text.
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
