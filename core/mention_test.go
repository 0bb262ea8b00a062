package core

import (
	"slices"
	"strings"
	"testing"
)

// A word after "@" may be a name with punctuation, or a shorter name and what the writer put behind it.
func TestNamesIn(t *testing.T) {
	for word, want := range map[string][]string{
		"ann": {"ann"}, "ann.": {"ann.", "ann"}, "ann...": {"ann...", "ann"}, "ann_x": {"ann_x"}, "ann_": {"ann_", "ann"},
		"ann.could": {"ann.could", "ann"}, "ann..please": {"ann..please", "ann"}, "ann.b-c.": {"ann.b-c.", "ann.b-c", "ann.b", "ann"},
		"": nil, "...": {"..."}, ".a": {".a"}, strings.Repeat("a", 65): nil, "ann." + strings.Repeat("a", 65): {"ann"},
		strings.Repeat("a.", 9) + "a": {
			"a.a.a.a.a.a.a.a.a.a", "a.a.a.a.a.a.a.a.a", "a.a.a.a.a.a.a.a", "a.a.a.a.a.a.a", "a.a.a.a.a.a", "a.a.a.a.a", "a.a.a.a", "a.a.a",
		},
	} {
		if got := NamesIn(word); !slices.Equal(got, want) {
			t.Errorf("%q may be %q, want %q", word, got, want)
		}
	}
}
