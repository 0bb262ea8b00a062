package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

// A list is the same whether it is short or long, compressed or not. Its rows are not held while others are read, only
// what will be sent, and an error is an error whenever it comes.
func TestInPieces(t *testing.T) {
	for _, n := range []int{0, 1, 3, 20_000} {
		for _, encoding := range []string{"", "gzip"} {
			for _, form := range []Form{Array, Lines} {
				a := &API{memory: newMemory(nil)}
				c := &Call{api: a, User: core.User{ID: core.UserID{1}}, Writer: httptest.NewRecorder(), Request: httptest.NewRequest("GET", "/", nil)}
				c.Request.Header.Set("Accept-Encoding", encoding)
				l := &limit{Context: t.Context(), answer: &answer{call: c}}
				c.Context = l
				const rows = 10 << 20
				var want []string
				got, err := InPieces(c, form, func(s *string) []byte { return JSON(*s) }, func(each func([]string) error) error {
					for i := 0; i < n; i += 500 {
						if held := a.memory.all; held > rows {
							t.Fatalf("%d bytes are held between two pieces", held)
						}
						var piece []string
						for k := range min(500, n-i) {
							piece = append(piece, fmt.Sprint("value ", i+k))
						}
						want = append(want, piece...)
						if err := l.Value(read.BudgetKey{}).(read.Budget).Take(rows); err != nil {
							return err
						}
						if err := each(piece); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				body := c.compressed(got.(Raw))
				if c.Header().Get("Content-Encoding") == "gzip" {
					r, err := gzip.NewReader(bytes.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					if body, err = io.ReadAll(r); err != nil {
						t.Fatal(err)
					}
				} else if n > 1000 && encoding == "gzip" && form == Array {
					t.Error("a long list is not compressed")
				}
				if form == Lines {
					body = append(append([]byte("["), bytes.ReplaceAll(body, []byte("\n"), []byte(","))...), ']')
				}
				var list []string
				if err := json.Unmarshal(body, &list); err != nil || fmt.Sprint(list) != fmt.Sprint(want) {
					t.Errorf("%d values, %q, %v: %d come back, %v", n, encoding, form.kind, len(list), err)
				}
				l.answer.release()
				if a.memory.all != 0 {
					t.Errorf("%d bytes are left", a.memory.all)
				}
			}
		}
	}
	broken := errors.New("the database is away")
	c := &Call{api: &API{memory: newMemory(nil)}, Context: t.Context(), Request: httptest.NewRequest("GET", "/", nil)}
	if _, err := InPieces(c, Array, func(s *string) []byte { return JSON(*s) }, func(each func([]string) error) error {
		return errors.Join(each([]string{"one"}), broken)
	}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
