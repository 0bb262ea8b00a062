package api

import (
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/nearside/nearside/core/read"
)

// plainBytes is the size up to which a list is kept as it is; most lists are shorter. Longer ones are compressed while
// they are read.
const plainBytes = 64 << 10

// Form is how a list is written.
type Form struct{ open, between, end, kind string }

// The forms of lists.
var (
	Array = Form{"[", ",", "]", "application/json"}
	Lines = Form{"", "\n", "", "application/x-ndjson"}
)

// InPieces answers with a long list that is read in pieces. The rows of one piece are in memory at once, and what is
// before them only as it will be sent. It is not sent before it is whole: a reader could not tell a list that was
// broken off, and a slow one would keep a connection of the database.
func InPieces[T any](c *Call, f Form, encode func(*T) []byte, read func(each func([]T) error) error) (Answer, error) {
	out := &pieces{call: c, packs: f == Array && strings.Contains(c.Request.Header.Get("Accept-Encoding"), "gzip")}
	defer out.close()
	out.write([]byte(f.open))
	first := true
	err := read(func(piece []T) error {
		for i := range piece {
			if !first {
				out.write([]byte(f.between))
			}
			first = false
			out.write(encode(&piece[i]))
		}
		return out.hold()
	})
	if err != nil {
		return nil, err
	}
	out.write([]byte(f.end))
	c.Header().Set("Content-Type", f.kind)
	return out.answer(), nil
}

// pieces collects the answer.
type pieces struct {
	call  *Call
	packs bool // it may be compressed
	body  sliceWriter
	gz    *gzip.Writer // to body, once it is long
}

func (p *pieces) write(b []byte) {
	if p.gz != nil {
		_, _ = p.gz.Write(b) // writing to a slice never fails
		return
	}
	p.body = append(p.body, b...)
	if p.packs && len(p.body) > plainBytes {
		plain := p.body
		p.body = nil
		p.gz = gzipWriters.Get().(*gzip.Writer)
		p.gz.Reset(&p.body)
		_, _ = p.gz.Write(plain)
	}
}

// hold counts the memory of the answer so far in place of that of the rows.
func (p *pieces) hold() error {
	if a, ok := p.call.Value(read.BudgetKey{}).(*answer); ok {
		return a.hold(cap(p.body))
	}
	return nil
}

func (p *pieces) answer() Raw {
	if p.gz != nil {
		_ = p.gz.Close() // as above
	}
	return Raw{Status: http.StatusOK, Body: p.body, packed: p.gz != nil}
}

func (p *pieces) close() {
	if p.gz != nil {
		p.gz.Reset(nil)
		gzipWriters.Put(p.gz)
	}
}
