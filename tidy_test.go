package nearside_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/nearside/nearside/"

// pkg is what `go list -json` says of one package. Paths are cut to the part below the module.
type pkg struct {
	ImportPath, Name, Doc                       string
	GoFiles, Imports, TestImports, XTestImports []string
}

// edge is one import: who imports what, and whether only its tests do.
type edge struct {
	from, to string
	test     bool
}

// law is one forbidden kind of import, with the reason that is printed with a forbidden import.
type law struct {
	from, to []string // path prefixes; "" stands for every package of ours
	except   []string // sources that may after all
	allowed  []string // targets that are open to all
	tests    bool     // the law binds tests too
	why      string
}

// domainFree are the packages of core that do not import the domain: tools that every side uses.
var domainFree = []string{"core/backoff", "core/eventually", "core/slow", "core/trace", "core/turn"}

var importLaw = []law{
	{from: []string{"region"}, to: []string{"replication", "edge", "cdn", "cmd"}, tests: true, why: "a side must run, and be tested, with the others absent"},
	{from: []string{"replication"}, to: []string{"region", "edge", "cdn", "cmd"}, tests: true, why: "a side must run, and be tested, with the others absent"},
	{from: []string{"edge"}, to: []string{"region", "replication", "cmd"}, tests: true, why: "a side must run, and be tested, with the others absent"},
	{from: []string{"replication"}, to: []string{"core/"}, allowed: []string{"core/backoff", "core/eventually"}, tests: true, why: "the middle carries bytes and must never learn what a message is"},
	{from: []string{"region"}, to: []string{"core/"}, allowed: []string{"core/backoff", "core/eventually", "core/trace"}, tests: true, why: "ordering must not depend on what is ordered"},
	{from: []string{"core"}, to: []string{"region", "replication", "edge", "cdn", "cmd", "bench"}, tests: true, why: "core is what all sides share; it must not depend on them"},
	{from: domainFree, to: []string{"core"}, allowed: []string{"core/backoff"}, tests: true, why: "a small tool must not depend on the domain, so that every side may use it"},
	{from: []string{""}, to: []string{"core/eventually"}, except: []string{"bench", "cmd/node/nodetest", "replication/simtest"}, why: "only tests poll; the product waits for notifications"},
	{from: []string{"cdn"}, to: []string{"region", "replication", "edge", "cmd", "bench"}, tests: true, why: "cdn stores bytes by digest and knows nothing else"},
	{from: []string{"edge"}, to: []string{"core/apply", "core/replica", "core/pg"}, except: []string{"edge/api/apitest"}, why: "an edge that could write replicated tables would one day diverge"},
	{from: []string{"edge"}, to: []string{"cdn/disk", "cdn/s3", "cdn/tier"}, except: []string{"edge/api/apitest"}, why: "an edge gets a store; the composition root decides which one"},
	{from: []string{""}, to: []string{"cmd/"}, except: []string{"cmd", "bench"}, tests: true, why: "the composition root is used by programs only"},
	{from: []string{""}, to: []string{"bench"}, except: []string{"bench"}, tests: true, why: "measuring tools are no part of the product"},
}

// notAreas are the packages below edge/api that answer no operation.
var notAreas = []string{"edge/api/access", "edge/api/areas", "edge/api/apitest"}

// area gives the area of the API that a package is; "" for others.
func area(p string) string {
	if !under(p, "edge/api/") || p == "edge/api" || slices.Contains(notAreas, p) {
		return ""
	}
	return p
}

// brokenArea reports whether an import would tie an area of the API to another one, or what lies
// below the areas to one of them.
func brokenArea(e edge, to string) bool {
	below := e.from == "edge/api" && !e.test || e.from == "edge/api/access"
	return area(to) != "" && area(to) != area(e.from) && (area(e.from) != "" || below)
}

// functionOnly is what core/apply may not import: it is a function of (state, entry).
var functionOnly = []string{"time", "math/rand", "crypto/rand", "net", "os", "log", "sync", "runtime", "context", "github.com/prometheus"}

// stackOnly is allowed nevertheless: it gives the stack of a panic for the log of the node, and no decision
// depends on it.
const stackOnly = "runtime/debug"

// owners are the libraries that exactly one folder may import, so that a change of library
// stays inside it.
var owners = map[string]string{
	"github.com/jackc/pgx":            "core/pg",
	"github.com/quic-go/quic-go":      "replication/link",
	"github.com/hashicorp/raft":       "region",
	"github.com/hashicorp/raft-wal":   "region",
	"github.com/hashicorp/memberlist": "replication/gossip",
	"github.com/gorilla/websocket":    "edge/ws",
	"github.com/minio/minio-go":       "cdn/s3",
	"go.opentelemetry.io/otel":        "core/trace",
	"github.com/spf13/cobra":          "cmd",
	"github.com/yuin/goldmark":        "edge/parse",
	"golang.org/x/crypto/acme":        "cmd/node",

	// Every package may make metrics of its own, with the registerer that its Config gives; who
	// collects and serves them is the composition root's business.
	"github.com/prometheus/client_golang/prometheus/promhttp":   "cmd/node",
	"github.com/prometheus/client_golang/prometheus/collectors": "cmd/node",
}

var bannedNames = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc"}

// under reports whether p is the folder prefix or lies below it. A prefix that ends in "/"
// means only what lies below.
func under(p, prefix string) bool {
	return prefix == "" || p == prefix || strings.HasPrefix(p, strings.TrimSuffix(prefix, "/")+"/")
}

func underAny(p string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return under(p, prefix) })
}

// brokenEdges gives one line for every import that a law forbids.
func brokenEdges(edges []edge) (bad []string) {
	report := func(e edge, why string) { bad = append(bad, fmt.Sprintf("%s imports %s: %s", e.from, e.to, why)) }
	for _, e := range edges {
		to, ours := strings.CutPrefix(e.to, module)
		for _, l := range importLaw {
			if ours && (!e.test || l.tests) && underAny(e.from, l.from) && underAny(to, l.to) && !underAny(e.from, l.except) && !underAny(to, l.allowed) {
				report(e, l.why)
			}
		}
		if ours && brokenArea(e, to) {
			report(e, "areas of the API never import one another, and the kernel imports none: what two of them need lies in edge/api/access")
		}
		if e.from == "core/apply" && !e.test && underAny(e.to, functionOnly) && e.to != stackOnly {
			report(e, "core/apply is a function of (state, entry): no clock, chance, network, environment or lock")
		}
		for lib, owner := range owners {
			if owned(e.to, lib) && !under(e.from, owner) {
				report(e, "only "+owner+" may import it: a protocol library has one owner")
			}
		}
	}
	return bad
}

// unneededExceptions gives one line for every exception of a law that is not needed, and for every owner whose
// library is not imported.
func unneededExceptions(edges []edge) (bad []string) {
	for _, l := range importLaw {
		// needs reports whether some edge breaks the law but for what ok says of it.
		needs := func(ok func(from, to string) bool) bool {
			return slices.ContainsFunc(edges, func(e edge) bool {
				to, ours := strings.CutPrefix(e.to, module)
				return ours && (!e.test || l.tests) && underAny(e.from, l.from) && underAny(to, l.to) && ok(e.from, to)
			})
		}
		for _, p := range l.except {
			if !needs(func(from, _ string) bool { return under(from, p) }) {
				bad = append(bad, fmt.Sprintf("%s needs no exception to: %s", p, l.why))
			}
		}
		for _, p := range l.allowed {
			if !needs(func(_, to string) bool { return under(to, p) }) {
				bad = append(bad, fmt.Sprintf("%s need not be open to all against: %s", p, l.why))
			}
		}
	}
	for lib, owner := range owners {
		if !slices.ContainsFunc(edges, func(e edge) bool { return owned(e.to, lib) }) {
			bad = append(bad, owner+" owns "+lib+", which nobody imports")
		}
	}
	return bad
}

// owned reports whether an import path belongs to a library, with or without a /vN suffix.
func owned(importPath, lib string) bool {
	if lib == "github.com/hashicorp/raft" && strings.HasPrefix(importPath, "github.com/hashicorp/raft-") {
		return false
	}
	return under(importPath, lib)
}

// badPackages gives one line for every package with a banned name or without a doc comment.
func badPackages(pkgs []pkg) (bad []string) {
	for _, p := range pkgs {
		if slices.Contains(bannedNames, p.Name) || slices.Contains(bannedNames, path.Base(p.ImportPath)) {
			bad = append(bad, p.ImportPath+": the name says nothing about what it is for")
		}
		if p.Doc == "" && len(p.GoFiles) > 0 {
			bad = append(bad, p.ImportPath+": has no package comment")
		}
	}
	return bad
}

// call is a call that is banned outside the files that ok names.
type call struct {
	name string // package and function; a trailing * makes it a prefix
	why  string // printed beside a breach
	ok   func(file string) bool
}

// forTests reports whether a file is compiled into tests only.
func forTests(file string) bool {
	dir := path.Dir(file)
	return strings.HasSuffix(file, "_test.go") || strings.HasSuffix(dir, "test") // pgtest, nodetest, …
}

var bannedCalls = []call{
	{"promauto.New*", "register with the registerer of the Config; a global one would mix the nodes of a process", func(string) bool { return false }},
	{"prometheus.MustRegister", "register with the registerer of the Config; a global one would mix the nodes of a process", func(string) bool { return false }},
	{"prometheus.Register", "register with the registerer of the Config; a global one would mix the nodes of a process", func(string) bool { return false }},
	{"time.Sleep", "wait on a condition with a deadline, or on a timer and a context", func(string) bool { return false }},
	{"fmt.Print*", "log with slog; only programs write to standard output", func(f string) bool {
		return under(f, "cmd") || under(f, "bench")
	}},
	{"context.Background", "take the caller's context; only main and tests begin one", allowBackground},
	{"context.TODO", "take the caller's context", func(string) bool { return false }},
}

// exceptions are calls that are allowed nevertheless, by file and call, each with its reason.
var exceptions = map[[2]string]string{
	{"core/pg/locate.go", "context.Background"}:         "asks a program for its version, with a limit of its own",
	{"core/pg/server_cluster.go", "context.Background"}: "ends what an earlier run left behind, whatever the caller does",
	{"core/pg/server_test.go", "fmt.Println"}:           "a child process tells its parent",
}

func allowBackground(f string) bool {
	return forTests(f) || under(f, "bench") || under(f, "cmd/cli") || under(f, "cmd/nearside")
}

// badCalls gives one line for every banned call in a file, and the exceptions that it needed.
func badCalls(name string, src any) (bad []string, needed [][2]string, err error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	fake := slices.ContainsFunc(f.Imports, func(im *ast.ImportSpec) bool { return im.Path.Value == `"testing/synctest"` })
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		called := x.Name + "." + sel.Sel.Name
		if fake && called == "time.Sleep" {
			return true // in a bubble of synctest time is not real, and sleeping is exact
		}
		if exception := [2]string{name, called}; exceptions[exception] != "" {
			needed = append(needed, exception)
			return true
		}
		for _, c := range bannedCalls {
			if match(c.name, called) && !c.ok(name) {
				bad = append(bad, fmt.Sprintf("%s: %s: %s", fset.Position(n.Pos()), called, c.why))
			}
		}
		return true
	})
	return bad, needed, nil
}

func match(pattern, name string) bool {
	prefix, star := strings.CutSuffix(pattern, "*")
	return name == pattern || star && strings.HasPrefix(name, prefix)
}

// proseOK are texts in core/apply that are allowed nevertheless, each with its reason.
var proseOK = map[string]string{
	"GMasDM":          "the name of a preference, which clients look for",
	"default channel": "what ids are derived from",
}

// readable matches texts for people: they begin with a capital, or have a space next to a word, or end with a
// period.
var readable = regexp.MustCompile(`^\p{Lu}|\pL[,:;]? | \pL|\pL\.$`)

// prose gives the texts for people in a file, except those of errors, which stop the replica and are for the
// operator.
func prose(name string, src any) (found map[string]token.Position, err error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	found = map[string]token.Position{}
	tags := map[*ast.BasicLit]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			tags[n.Tag] = true
		case *ast.CallExpr:
			return types.ExprString(n.Fun) != "fmt.Errorf"
		case *ast.BasicLit:
			if text := literal(n); !tags[n] && readable.MatchString(text) {
				found[text] = fset.Position(n.Pos())
			}
		}
		return true
	})
	return found, nil
}

// list asks the go tool for every package of the module.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Doc,GoFiles,Imports,TestImports,XTestImports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		pkgs = append(pkgs, p)
	}
}

func edgesOf(pkgs []pkg) (edges []edge) {
	for _, p := range pkgs {
		for _, to := range p.Imports {
			edges = append(edges, edge{p.ImportPath, to, false})
		}
		for _, to := range append(slices.Clone(p.TestImports), p.XTestImports...) {
			edges = append(edges, edge{p.ImportPath, to, true})
		}
	}
	return edges
}

// files gives the paths of the repository's files with a suffix.
func files(t *testing.T, suffix string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(p, suffix) {
			names = append(names, filepath.ToSlash(p))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func wantNone(t *testing.T, bad []string) {
	t.Helper()
	for _, line := range bad {
		t.Error(line)
	}
}

// Packages import one another in a star around core, and every protocol library has one owner.
func TestImportLaw(t *testing.T) {
	edges := edgesOf(list(t))
	wantNone(t, brokenEdges(edges))
	wantNone(t, unneededExceptions(edges))
}

// Every package has a comment and a name that says what it is for.
func TestPackages_NamedAndDocumented(t *testing.T) { wantNone(t, badPackages(list(t))) }

// Sleeping, printing and new contexts are banned where they would hide a fault.
func TestBannedCalls(t *testing.T) {
	unneeded := maps.Clone(exceptions)
	for _, name := range files(t, ".go") {
		bad, needed, err := badCalls(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantNone(t, bad)
		for _, e := range needed {
			delete(unneeded, e)
		}
	}
	for e := range unneeded {
		t.Errorf("%s: no longer needs to be excepted from the ban on %s", e[0], e[1])
	}
}

// The state machine writes no text for people, because that would be in the digest for ever, and in one
// language. Texts are made at the edge, from ids, types and arguments.
func TestApply_NoProse(t *testing.T) {
	unneeded := maps.Clone(proseOK)
	for _, name := range files(t, ".go") {
		if path.Dir(name) != "core/apply" || forTests(name) {
			continue
		}
		found, err := prose(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		for text, at := range found {
			if proseOK[text] == "" {
				t.Errorf("%s: %q: a text belongs into edge/catalogue, under an id or a type", at, text)
			}
			delete(unneeded, text)
		}
	}
	for text := range unneeded {
		t.Errorf("%q no longer needs to be excepted from the ban on prose", text)
	}
}

// Each check of this file finds a bad sample.
func TestTidy_ChecksCanFail(t *testing.T) {
	edges := []struct {
		name string
		edge edge
		bad  bool
	}{
		{"sides apart", edge{"edge/api", module + "region", false}, true},
		{"sides apart in tests", edge{"region", module + "replication/link", true}, true},
		{"core itself is shared", edge{"replication/hub", module + "core", false}, false},
		{"the middle is opaque", edge{"replication/hub", module + "core/command", false}, true},
		{"the middle has the small tools", edge{"replication/hub", module + "core/backoff", false}, false},
		{"the product does not poll", edge{"replication/hub", module + "core/eventually", false}, true},
		{"the small tools know no domain", edge{"core/backoff", module + "core", false}, true},
		{"core looks nowhere", edge{"core/replica", module + "edge", false}, true},
		{"an edge cannot write", edge{"edge/api", module + "core/pg", false}, true},
		{"an edge's test may build a replica", edge{"edge/api", module + "core/replica", true}, false},
		{"areas apart", edge{"edge/api/posts", module + "edge/api/files", false}, true},
		{"areas apart in tests", edge{"edge/api/posts", module + "edge/api/files", true}, true},
		{"the kernel knows no area", edge{"edge/api", module + "edge/api/posts", false}, true},
		{"an area has the kernel", edge{"edge/api/posts", module + "edge/api", false}, false},
		{"an area has policies", edge{"edge/api/posts", module + "edge/api/access", false}, false},
		{"an area tests itself", edge{"edge/api/posts", module + "edge/api/posts", true}, false},
		{"nobody imports programs", edge{"edge/api", module + "cmd/node", false}, true},
		{"programs import programs", edge{"cmd/cli", module + "cmd/node", false}, false},
		{"one owner", edge{"edge/api", "github.com/jackc/pgx/v5", true}, true},
		{"the owner", edge{"core/pg", "github.com/jackc/pgx/v5/pgxpool", false}, false},
		{"raft's log has raft's owner", edge{"cmd/node", "github.com/hashicorp/raft-wal", false}, true},
		{"apply has no clock", edge{"core/apply", "time", false}, true},
		{"apply has no chance", edge{"core/apply", "math/rand/v2", false}, true},
		{"apply's tests may have both", edge{"core/apply", "time", true}, false},
	}
	for _, c := range edges {
		if got := brokenEdges([]edge{c.edge}); (len(got) > 0) != c.bad {
			t.Errorf("%s: %v -> %v", c.name, c.edge, got)
		}
	}
	if got := unneededExceptions(nil); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "bench needs no exception") }) {
		t.Errorf("without any import, exceptions are still needed: %v", got)
	}
	if got := badPackages([]pkg{{ImportPath: "core/util", Name: "util", GoFiles: []string{"a.go"}}}); len(got) != 2 {
		t.Errorf("a nameless, undocumented package gives %v", got)
	}
	texts := "package p\nvar f = struct{ A string `db:\"has a space\"` }{u + \" left\" + \"the end.\" + \"Town\" + \"an_id.of.a_text\" + \" \" + \"by the way\"}\nfunc g() { fmt.Errorf(\"no text\") }"
	if got, err := prose("p.go", texts); err != nil || len(got) != 4 {
		t.Errorf("want 4 texts, got %v %v", got, err)
	}
	calls := `package p
import ("context"; "fmt"; "time")
func f() { time.Sleep(1); fmt.Println(); context.Background(); context.TODO() }`
	for file, want := range map[string]int{"edge/api/x.go": 4, "edge/api/x_test.go": 3, "cmd/cli/x.go": 2} {
		if got, _, err := badCalls(file, calls); err != nil || len(got) != want {
			t.Errorf("%s: want %d bad calls, got %v %v", file, want, got, err)
		}
	}
}
