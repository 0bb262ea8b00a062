package read_test

import (
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

// For any input the query is valid for the database; only too many or too long terms are refused.
func FuzzSearchFiles(f *testing.F) {
	s, db := store(f)
	fill(f, db, "ANALYZE")
	f.Add("report", "2026*", false)
	f.Add("'a' & !b | (c <-> d):*\\", "\x00\xff", true)
	f.Add("größe 漢字", "\u00a0\u200b", true)
	f.Add(strings.Repeat("a ", 499), strings.Repeat("x", 999), false)
	f.Fuzz(func(t *testing.T, term, excluded string, either bool) {
		q := read.FileQuery{User: core.UserID{1}, Terms: strings.Split(term, ","), Excluded: strings.Split(excluded, ","), Any: either, Page: read.Page{Size: 1}}
		if _, err := s.SearchFiles(t.Context(), q); err != nil && core.KindOf(err) != core.KindInvalid {
			t.Fatalf("%q without %q: %v", term, excluded, err)
		}
	})
}
