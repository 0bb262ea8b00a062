package node_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
)

// shapes says for each operation which fields a good answer has, and of which types, also where the API
// description is missing. It is testdata/answers.txt, with one operation in a line.
type shapes map[string]string

var shapesFile = filepath.Join("testdata", "answers.txt")

func loadShapes(t *testing.T) shapes {
	t.Helper()
	text, err := os.ReadFile(shapesFile)
	if err != nil && !*updateCoverage {
		t.Fatal(err)
	}
	s := shapes{}
	for line := range strings.Lines(string(text)) {
		op, shape, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		s[op] = shape
	}
	return s
}

func (s shapes) save(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for _, op := range slices.Sorted(maps.Keys(s)) {
		b.WriteString(op + ": " + s[op] + "\n")
	}
	if err := os.WriteFile(shapesFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check compares a good answer with its line. A new operation gets its line by -update-coverage.
func (s shapes) check(t *testing.T, op string, got reply) {
	t.Helper()
	shape := shapeOf(got.body, 2)
	if *updateCoverage {
		s[op] = shape
	}
	if diff := cmp.Diff(strings.Fields(s[op]), strings.Fields(shape)); diff != "" {
		t.Errorf("%s has another line for this answer (-want +got):\n%s", shapesFile, diff)
	}
}

// shapeOf writes the fields and types of a JSON value, down to a depth. Of a list it writes the first
// element, and of a map by ids or names one of its values.
func shapeOf(v any, deep int) string {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[ " + shapeOf(v[0], deep) + " ]"
	case map[string]any:
		if deep == 0 {
			return "object"
		}
		var b strings.Builder
		seen := map[string]bool{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			shown := name
			if _, id := core.ParseID[any](name); id && name == strings.ToLower(name) {
				shown = "{id}"
			}
			if !seen[shown] {
				b.WriteString(shown + "=" + strings.ReplaceAll(shapeOf(v[name], deep-1), " ", ",") + " ")
			}
			seen[shown] = true
		}
		return "{ " + b.String() + "}"
	case nil:
		return "nothing"
	}
	return kindOf(v)
}
