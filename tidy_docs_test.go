package nearside_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// symbols are the names that documents may mention.
type symbols struct {
	packages map[string]map[string]bool // package name → top-level names and Type.Member
	types    map[string]map[string]bool // type name → fields and methods
	foreign  map[string]bool            // names of imported packages that are not ours
}

func newSymbols() *symbols {
	return &symbols{map[string]map[string]bool{}, map[string]map[string]bool{}, map[string]bool{}}
}

func put(m map[string]map[string]bool, k, v string) {
	if m[k] == nil {
		m[k] = map[string]bool{}
	}
	m[k][v] = true
}

// add learns the declarations of a file.
func (s *symbols) add(name string, src any) error {
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p := f.Name.Name
	for _, im := range f.Imports {
		if ip := strings.Trim(im.Path.Value, `"`); !strings.HasPrefix(ip, module) {
			s.foreign[path.Base(regexp.MustCompile(`/v[0-9]+$`).ReplaceAllString(ip, ""))] = true
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				put(s.packages, p, d.Name.Name)
			} else {
				s.member(p, receiver(d.Recv.List[0].Type), d.Name.Name)
			}
		case *ast.GenDecl:
			for _, sp := range d.Specs {
				s.spec(p, sp)
			}
		}
	}
	return nil
}

func (s *symbols) member(p, typ, name string) {
	put(s.types, typ, name)
	put(s.packages, p, typ+"."+name)
}

func (s *symbols) spec(p string, sp ast.Spec) {
	switch sp := sp.(type) {
	case *ast.ValueSpec:
		for _, n := range sp.Names {
			put(s.packages, p, n.Name)
		}
	case *ast.TypeSpec:
		put(s.packages, p, sp.Name.Name)
		put(s.types, sp.Name.Name, "")
		ast.Inspect(sp.Type, func(n ast.Node) bool {
			if f, ok := n.(*ast.Field); ok {
				for _, name := range f.Names {
					s.member(p, sp.Name.Name, name.Name)
				}
			}
			return true
		})
	}
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// has reports whether a dotted name in a document exists. Names that are not ours (file names, foreign
// packages, commands) are accepted.
func (s *symbols) has(name string) bool {
	first, rest, _ := strings.Cut(name, ".")
	switch {
	case s.packages[first][rest] || s.types[first][rest]:
		return true
	case s.packages[first] != nil || s.types[first] != nil:
		return fileName.MatchString(name)
	}
	return s.foreign[first] || fileName.MatchString(name)
}

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	dotted   = regexp.MustCompile(`^\(?\*?([A-Za-z]\w*)\)?((?:\.[A-Za-z]\w*)+)(?:\([^)]*\))?$`)
	fileName = regexp.MustCompile(`\.(go|mod|sum|md|json|ya?ml|sh|sql|tsv|txt|log|pid|html|crt|key|pem)$`)
	treePath = regexp.MustCompile(`^(cmd|region|edge|replication|cdn|core|deploy|bench)(/[\w.-]+)+/?$`)
)

// unreal gives the names in a document that do not exist.
func (s *symbols) unreal(doc string, exists func(path string) bool) (bad []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(doc, -1) {
		if d := dotted.FindStringSubmatch(m[1]); d != nil && !s.has(d[1]+d[2]) {
			bad = append(bad, m[1]+" names no symbol")
		}
		if treePath.MatchString(m[1]) && !exists(m[1]) {
			bad = append(bad, m[1]+" names no file or folder")
		}
	}
	return bad
}

// Every Go name in a document of ours exists, so that a reader never searches in vain.
func TestDocuments_NameRealSymbols(t *testing.T) {
	s := newSymbols()
	for _, name := range files(t, ".go") {
		if err := s.add(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, doc := range append(files(t, "ARCHITECTURE.md"), files(t, "DESIGN.md")...) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range s.unreal(string(text), func(p string) bool { _, err := os.Stat(p); return err == nil }) {
			t.Errorf("%s: %s", doc, line)
		}
	}
}

// The check finds names that do not exist, and accepts those that do.
func TestTidy_DocumentCheckCanFail(t *testing.T) {
	s := newSymbols()
	err := s.add("x.go", `package hub
import "net/http"
type Hub struct{ Field int }
func (h *Hub) Serve() {}
func New() *Hub { return nil }`)
	if err != nil {
		t.Fatal(err)
	}
	good := "`hub.New`, `hub.New(cfg)`, `Hub.Serve`, `(*Hub).Serve`, `hub.Hub.Field`, `http.Handler`, `demo.json`, `core/x`"
	if bad := s.unreal(good, func(string) bool { return true }); len(bad) > 0 {
		t.Errorf("real names refused: %v", bad)
	}
	for _, doc := range []string{"`hub.Old`", "`Hub.Gone`", "`hub.Hub.Gone()`", "`nowhere.Name`", "`core/missing`"} {
		if bad := s.unreal(doc, func(string) bool { return false }); len(bad) != 1 {
			t.Errorf("%s: want one complaint, got %v", doc, bad)
		}
	}
}
