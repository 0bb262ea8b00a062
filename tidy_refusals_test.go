package nearside_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
)

// refusals has the refusals in the sources, with their arguments.
type refusals struct {
	named map[string]ast.Expr        // by "directory.name": what a variable of a package is made of
	texts map[string]map[string]bool // by the key of their text: the arguments that it can name
	loose map[string]map[string]bool // by directory: arguments given to a refusal whose name is not seen there
	at    map[string]string          // by id: the directory
	wrong []string
}

// sources gives the parsed files of the product below some folders, by path.
func sources(t *testing.T, roots ...string) map[string]*ast.File {
	t.Helper()
	out := map[string]*ast.File{}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
			out[filepath.ToSlash(p)] = f
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		s, _ := strconv.Unquote(lit.Value)
		return s
	}
	return ""
}

// idOf gives the id in the declaration of a refusal.
func idOf(e ast.Expr) (id string, is bool) {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return "", false
	}
	name := ""
	switch typ := lit.Type.(type) {
	case *ast.Ident:
		name = typ.Name
	case *ast.SelectorExpr:
		name = typ.Sel.Name
	}
	if name != "Refusal" {
		return "", false
	}
	for _, el := range lit.Elts {
		if kv, ok := el.(*ast.KeyValueExpr); ok && kv.Key.(*ast.Ident).Name == "ID" {
			id = literal(kv.Value)
		}
	}
	return id, true
}

// resolve gives the id of the refusal that an expression stands for.
func (r *refusals) resolve(dir string, dirs map[string]string, e ast.Expr) string {
	if id, ok := idOf(e); ok {
		return id
	}
	switch e := e.(type) {
	case *ast.Ident:
		if made := r.named[dir+"."+e.Name]; made != nil {
			return r.resolve(dir, dirs, made)
		}
	case *ast.SelectorExpr:
		if pkg, ok := e.X.(*ast.Ident); ok {
			if made := r.named[dirs[pkg.Name]+"."+e.Sel.Name]; made != nil {
				return r.resolve(dirs[pkg.Name], nil, made)
			}
		}
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "With" || f.Sel.Name == "WithCause") {
			return r.resolve(dir, dirs, f.X)
		}
	}
	return ""
}

func (r *refusals) with(dir string, dirs map[string]string, call *ast.CallExpr) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != "With" || len(call.Args) < 2 {
		return
	}
	key, args := r.resolve(dir, dirs, f.X), map[string]bool{}
	known := key != ""
	for i := 0; i+1 < len(call.Args); i += 2 {
		name := literal(call.Args[i])
		args[name] = true
		if name == "reason" && known {
			reason := literal(call.Args[i+1])
			if reason == "" {
				r.wrong = append(r.wrong, dir+": the reason of "+key+" is not a literal")
			}
			key += ":" + reason
		}
	}
	into := r.texts
	if !known {
		into, key = r.loose, dir
	}
	if into[key] == nil {
		into[key] = map[string]bool{}
	}
	maps.Copy(into[key], args)
}

// refusalsOf reads the refusals of the tree.
func refusalsOf(t *testing.T) *refusals {
	t.Helper()
	files := sources(t, "core", "edge", "region", "replication", "cdn", "cmd")
	r := &refusals{named: map[string]ast.Expr{}, texts: map[string]map[string]bool{}, loose: map[string]map[string]bool{}, at: map[string]string{}}
	written, named := 0, 0
	for p, f := range files {
		dir := path.Dir(p)
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, name := range v.Names {
					if i < len(v.Values) {
						r.named[dir+"."+name.Name] = v.Values[i]
					}
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if id, ok := idOf(e); ok {
					written++
					if id == "" {
						r.wrong = append(r.wrong, p+": a refusal whose id is not written down")
						return true
					}
					r.at[id] = dir
					if r.texts[id] == nil {
						r.texts[id] = map[string]bool{}
					}
				}
			}
			return true
		})
	}
	for p, f := range files {
		dir, dirs := path.Dir(p), map[string]string{}
		for _, im := range f.Imports {
			full := literal(im.Path)
			dirs[path.Base(full)] = strings.TrimPrefix(full, module)
		}
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				ast.Inspect(g, func(n ast.Node) bool {
					if e, ok := n.(ast.Expr); ok {
						if _, ok := idOf(e); ok {
							named++
						}
					}
					return true
				})
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				r.with(dir, dirs, call)
			}
			return true
		})
	}
	if written != named {
		r.wrong = append(r.wrong, strconv.Itoa(written-named)+" refusals are made without a name: each is a variable of its package")
	}
	for id := range kindIDs(t, files["edge/api/errors.go"]) {
		if r.texts[id] == nil {
			r.texts[id] = map[string]bool{}
		}
	}
	return r
}

// kindIDs gives the ids of errors without an id of their own.
func kindIDs(t *testing.T, f *ast.File) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR || g.Specs[0].(*ast.ValueSpec).Names[0].Name != "meanings" {
			continue
		}
		ast.Inspect(g, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok && literal(e) != "" {
				out[literal(e)] = true
			}
			return true
		})
	}
	if len(out) == 0 {
		t.Fatal("edge/api/errors.go has no table of meanings")
	}
	return out
}

// systemTypes gives the types of system posts.
func systemTypes(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	ast.Inspect(sources(t, "core/post.go")["core/post.go"], func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && strings.HasPrefix(v.Names[0].Name, "Type") {
			out[literal(v.Values[0])] = true
		}
		return true
	})
	if len(out) == 0 {
		t.Fatal("core/post.go names no type of post")
	}
	return out
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

func placeholders(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		out[m[1]] = true
	}
	return out
}

func textsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	if err := json.Unmarshal(raw, &texts); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return texts
}

// Every refusal in the sources has an English text, every text has a refusal, and a text uses only arguments
// that the refusal has. The same holds for the types of system posts and the names of default channels.
func TestCatalogue_Complete(t *testing.T) {
	r := refusalsOf(t)
	for _, w := range r.wrong {
		t.Error(w)
	}
	english := textsOf(t, "edge/catalogue/texts/en.json")
	written := systemTypes(t)
	written[core.TownSquare], written[core.OffTopic] = true, true
	for key := range written {
		if english[key] == "" {
			t.Errorf("%s, which the server writes, has no text", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.texts)) {
		id, _, _ := strings.Cut(key, ":")
		text := english[key]
		if text == "" {
			t.Errorf("%s has no text", key)
		}
		for arg := range placeholders(text) {
			if !r.texts[key][arg] && !r.loose[r.at[id]][arg] {
				t.Errorf("%s: no refusal is given {%s}", key, arg)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(english)) {
		if r.texts[key] == nil && !written[key] {
			t.Errorf("%s is the text of no refusal, and of nothing that the server writes", key)
		}
	}
	files, _ := filepath.Glob("edge/catalogue/texts/*.json")
	for _, file := range files {
		for key, text := range textsOf(t, file) {
			if want, ok := english[key]; !ok || !maps.Equal(placeholders(text), placeholders(want)) {
				t.Errorf("%s: %s is not a translation of the English %q", file, key, want)
			}
		}
	}
}
