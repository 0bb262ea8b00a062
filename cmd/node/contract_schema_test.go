package node_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// description is the API description: operations by method and path, and what they refer to.
type description struct {
	operations map[string]map[string]any
	components map[string]any
}

// loadDescription reads the API description. If it is not there it skips the test and says where it was
// expected.
func loadDescription(t *testing.T) *description {
	t.Helper()
	dir := os.Getenv("NEARSIDE_API")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "api", "openapi")
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(names) == 0 {
		t.Skipf("no API description in %s: answers are not compared with it (set NEARSIDE_API to its folder)", dir)
	}
	d := &description{operations: map[string]map[string]any{}}
	for _, name := range names {
		d.read(t, name)
	}
	return d
}

func (d *description) read(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var page map[string]any
	if err := yaml.Unmarshal(text, &page); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if c, ok := page["components"].(map[string]any); ok {
		d.components = c
	}
	for path, methods := range page {
		for method, op := range object(methods) {
			if strings.HasPrefix(path, "/") && object(op) != nil {
				d.operations[strings.ToUpper(method)+" "+path] = object(op)
			}
		}
	}
}

func object(v any) map[string]any {
	o, _ := v.(map[string]any)
	return o
}

// deref resolves a reference to a component.
func (d *description) deref(s map[string]any) map[string]any {
	for range 10 {
		ref, ok := s["$ref"].(string)
		if !ok {
			return s
		}
		var at any = map[string]any{"components": d.components}
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = object(at)[part]
		}
		s = object(at)
	}
	return s
}

// answer gives the schema of an operation's JSON answer with a status; ok is false when the
// description does not have that status.
func (d *description) answer(op string, status int) (schema map[string]any, ok bool) {
	responses := object(d.operations[op]["responses"])
	r, ok := responses[strconv.Itoa(status)]
	if !ok {
		return nil, false
	}
	content := object(d.deref(object(r))["content"])
	return object(object(content["application/json"])["schema"]), true
}

// check compares a decoded JSON value with a schema and gives one line for each difference:
// what is required and missing, and what has another type. More fields than described are fine.
func (d *description) check(at string, v any, schema map[string]any) (bad []string) {
	schema = d.deref(schema)
	for _, part := range list(schema["allOf"]) {
		bad = append(bad, d.check(at, v, object(part))...)
	}
	if any := append(list(schema["oneOf"]), list(schema["anyOf"])...); len(any) > 0 {
		return append(bad, d.checkAny(at, v, any)...)
	}
	typ, _ := schema["type"].(string)
	if typ == "" && schema["properties"] != nil {
		typ = "object"
	}
	if v == nil || typ == "" { // the description seldom says nullable where servers do send null
		return bad
	}
	if !fits(v, typ) {
		return append(bad, fmt.Sprintf("%s: is %s, described as %s", at, kindOf(v), typ))
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			bad = append(bad, d.check(fmt.Sprintf("%s[%d]", at, i), item, object(schema["items"]))...)
		}
	case map[string]any:
		bad = append(bad, d.checkObject(at, v, schema)...)
	}
	return bad
}

func (d *description) checkObject(at string, v, schema map[string]any) (bad []string) {
	for _, name := range list(schema["required"]) {
		if value, ok := v[name.(string)]; !ok || value == nil {
			bad = append(bad, fmt.Sprintf("%s.%s: is required and missing", at, name))
		}
	}
	properties := object(schema["properties"])
	for name, value := range v {
		if p := object(properties[name]); p != nil {
			bad = append(bad, d.check(at+"."+name, value, p)...)
		} else if more := object(schema["additionalProperties"]); more != nil {
			bad = append(bad, d.check(at+"."+name, value, more)...)
		}
	}
	return bad
}

func (d *description) checkAny(at string, v any, schemas []any) (bad []string) {
	for _, s := range schemas {
		if bad = d.check(at, v, object(s)); len(bad) == 0 {
			return nil
		}
	}
	return bad
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func fits(v any, typ string) bool {
	switch v := v.(type) {
	case float64:
		return typ == "number" || typ == "integer" && v == math.Trunc(v)
	case string:
		return typ == "string"
	case bool:
		return typ == "boolean"
	case []any:
		return typ == "array"
	case map[string]any:
		return typ == "object"
	}
	return false
}

func kindOf(v any) string {
	for _, typ := range []string{"integer", "number", "string", "boolean", "array", "object"} {
		if fits(v, typ) {
			return typ
		}
	}
	return fmt.Sprintf("%T", v)
}

// A value that does not match its description is found, with the name of the field.
func TestDescription_CheckCanFail(t *testing.T) {
	d := &description{components: map[string]any{"schemas": map[string]any{"Thing": map[string]any{
		"type": "object", "required": []any{"id"},
		"properties": map[string]any{"id": map[string]any{"type": "string"}, "n": map[string]any{"type": "integer"}},
	}}}}
	things := map[string]any{"type": "array", "items": map[string]any{"$ref": "#/components/schemas/Thing"}}
	for name, c := range map[string]struct {
		value any
		want  int
	}{
		"fits":             {[]any{map[string]any{"id": "a", "n": 1.0, "more": true}}, 0},
		"required missing": {[]any{map[string]any{"n": 1.0}}, 1},
		"required null":    {[]any{map[string]any{"id": nil}}, 1},
		"wrong type":       {[]any{map[string]any{"id": 7.0}}, 1},
		"no whole number":  {[]any{map[string]any{"id": "a", "n": 1.5}}, 1},
		"no list":          {map[string]any{}, 1},
	} {
		if bad := d.check(name, c.value, things); len(bad) != c.want {
			t.Errorf("want %d complaints, got %q", c.want, bad)
		}
	}
}
