package node_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core/eventually"
)

var updateCoverage = flag.Bool("update-coverage", false, "rewrite edge/api/COVERAGE.md and testdata/answers.txt")

var apiFolder = filepath.Join("..", "..", "edge", "api")

// operation is a line of the list of all operations that clients may ask for.
type operation struct{ method, path, id string }

func (o operation) key() string { return o.method + " " + o.path }

// allOperations reads the list of operations beside edge/api.
func allOperations(t *testing.T) (ops []operation) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(apiFolder, "operations.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma = '\t'
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines[1:] {
		ops = append(ops, operation{l[0], l[1], l[2]})
	}
	return ops
}

// Every operation that is built answers a good, an unauthenticated, a forbidden and a malformed request as
// described. Every other one answers, in the API's error form, that it is not built.
func TestContract(t *testing.T) {
	world := nodetest.Start(t, nodetest.Topology{Files: node.Files{PublicLinks: true}})
	f := newFixture(t, world.Nodes()[0].URL())
	var d *description
	t.Run("Description", func(t *testing.T) { d = loadDescription(t) })
	shapes := loadShapes(t)
	rows := map[string]row{}
	for _, r := range contract() {
		if _, twice := rows[r.op]; twice {
			t.Errorf("%s has two rows", r.op)
		}
		rows[r.op] = r
	}
	for _, op := range allOperations(t) {
		if op.method == "ANY" {
			op.method = http.MethodPost
		}
		r, built := rows[op.key()]
		delete(rows, op.key())
		if r.elsewhere != "" {
			continue
		}
		t.Run(op.method+strings.ReplaceAll(op.path, "/", "_"), func(t *testing.T) {
			if built {
				r.ask(t, f, d, shapes)
			} else {
				f.wantNotBuilt(t, op)
			}
		})
	}
	for op := range rows {
		t.Errorf("%s has a row but is no operation of the API", op)
	}
	if *updateCoverage {
		shapes.save(t)
	}
}

// COVERAGE.md has the same content as the contract.
func TestContract_CoverageDocument(t *testing.T) {
	path := filepath.Join(apiFolder, "COVERAGE.md")
	want := coverage(allOperations(t))
	if *updateCoverage {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale: go test ./cmd/node -run TestContract_CoverageDocument -update-coverage (-want +got):\n%s", path, diff)
	}
}

// coverage writes the document.
func coverage(ops []operation) string {
	rows := map[string]row{}
	for _, r := range contract() {
		rows[r.op] = r
	}
	var b strings.Builder
	built := 0
	for _, op := range ops {
		if r, ok := rows[op.key()]; ok {
			built++
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s | %s |\n", op.method, op.path, op.id, "ok", r.mark(r.open), r.mark(r.nobody != ""), r.mark(r.anyForm != ""))
		} else {
			fmt.Fprintf(&b, "| %s | `%s` | %s | 501 | | | |\n", op.method, op.path, op.id)
		}
	}
	for _, p := range webPages {
		fmt.Fprintf(&b, "| GET | `%s` | | web client | | | |\n", p)
	}
	head := fmt.Sprintf(`# What is built of API v4

%d of %d operations. Each built one is asked for a good, an unauthenticated, a forbidden and a malformed request, and its answers are
compared with the API description: "ok" means that the check exists and passes, "–" that the operation has no such case (it needs
no session, no user is forbidden it, or no request for it can be malformed). An operation with "501" answers that in the API's error
form. The pages at the end come with the web client.

This page is written by a test (see TestContract in cmd/node); change the table there, not this.

| method | path | operation | good | unauthenticated | forbidden | malformed |
|---|---|---|---|---|---|---|
`, built, len(ops)+len(webPages))
	return head + b.String()
}

func (r row) mark(absent bool) string {
	if r.elsewhere == "" && absent {
		return "–"
	}
	return "ok"
}

// webPages are the routes that serve the web client's own files, not the API.
var webPages = []string{"/static/{path}", "/static/plugins/{path}", "/robots.txt", "/unsupported_browser.js", "/manualtest", "/{anything}"}

// reply is an answer with its body decoded, if it is JSON.
type reply struct {
	status int
	head   bool
	header http.Header
	body   any
	raw    []byte
}

// send sends a request with a token; a body that is a string is sent as it is, any other as JSON.
func (f *fixture) send(t *testing.T, method, path, token string, body any) reply {
	t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if text, ok := body.(string); ok && strings.HasPrefix(text, "--edge") {
		req.Header.Set("Content-Type", "multipart/form-data; boundary=edge")
	}
	answer, err := (&http.Client{Timeout: eventually.Limit}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	r := reply{status: answer.StatusCode, head: method == http.MethodHead, header: answer.Header}
	if r.raw, err = io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(r.raw, &r.body) // a body that is not JSON stays nil; a test that expects JSON fails then
	return r
}

// ask makes the four requests of a row. The good one comes last, because it may delete its object.
func (r row) ask(t *testing.T, f *fixture, d *description, shapes shapes) {
	method, template, _ := strings.Cut(r.op, " ")
	values := r.values(t, f)
	good := f.expand(t, template+r.query, values)
	if !r.open {
		f.wantProblem(t, "unauthenticated", f.send(t, method, good, "", r.content(f)), http.StatusUnauthorized)
	}
	if r.anyForm == "" {
		path, bodies := r.malformed(t, f, template, values)
		for _, body := range bodies {
			f.wantProblem(t, fmt.Sprintf("malformed %.20q", body), f.send(t, method, path, f.token(r.as), body), orElse(r.badStatus, http.StatusBadRequest))
		}
	}
	if r.nobody == "" {
		f.wantProblem(t, "forbidden", f.send(t, method, good, f.token(orElse(r.stranger, "eve")), r.content(f)), orElse(r.denied, http.StatusForbidden))
	}
	got := f.send(t, method, good, f.token(r.as), r.content(f))
	if want := orElse(r.status, http.StatusOK); got.status != want {
		t.Fatalf("good: %d, want %d: %s", got.status, want, got.raw)
	}
	f.wantHeaders(t, method, got)
	shapes.check(t, r.op, got)
	if d != nil && r.unlike == "" {
		r.compare(t, d, got)
	}
}

// compare compares a good answer with the description.
func (r row) compare(t *testing.T, d *description, got reply) {
	t.Helper()
	if d.operations[r.op] == nil {
		t.Log("not in the API description: only status and form were checked")
		return
	}
	schema, ok := d.answer(r.op, orElse(r.described, got.status))
	if !ok {
		t.Errorf("the description has no answer %d", got.status)
	}
	if schema != nil && got.body == nil && len(got.raw) > 0 && string(got.raw) != "null" {
		t.Errorf("the answer is no JSON: %.100s", got.raw)
	}
	for _, bad := range d.check("answer", got.body, schema) {
		t.Error(bad)
	}
}

// noBody are bodies that no operation with a body can accept.
var noBody = []any{``, `{"truncated": `, `null`, `"text"`, `17`, "{\"message\": \"\xff\"}", `{"message": "\u0000"}`}

// malformed gives requests that no operation of this form can accept: bodies that are not JSON or of another
// type, or an invalid id.
func (r row) malformed(t *testing.T, f *fixture, template string, values map[string]string) (path string, bodies []any) {
	t.Helper()
	switch {
	case r.badQuery != "":
		return f.expand(t, template, values) + r.badQuery, []any{r.content(f)}
	case r.body != nil && !r.bytes:
		return f.expand(t, template+r.query, values), noBody
	}
	first := idParameter.FindString(template)
	if first == "" {
		t.Fatal("the row must say how to malform the request: badQuery, or anyForm with a reason")
	}
	bad := maps.Clone(values)
	if bad == nil {
		bad = map[string]string{}
	}
	bad[strings.Trim(first, "{}")] = "no-id"
	return f.expand(t, template+r.query, bad), []any{r.content(f)}
}

var (
	parameter   = regexp.MustCompile(`\{\w+\}`)
	idParameter = regexp.MustCompile(`\{\w+_id\}`)
)

// expand fills in the parameters of a path, from values or else from the fixture.
func (f *fixture) expand(t *testing.T, template string, values map[string]string) string {
	return parameter.ReplaceAllStringFunc(template, func(p string) string {
		name := strings.Trim(p, "{}")
		if v, ok := values[name]; ok {
			return v
		}
		if v, ok := f.values[name]; ok {
			return v
		}
		t.Fatalf("no value for %s of %s", p, template)
		return ""
	})
}

// wantProblem checks status and form of an error.
func (f *fixture) wantProblem(t *testing.T, what string, got reply, status int) {
	t.Helper()
	if got.status != status {
		t.Errorf("%s: %d, want %d: %.300s", what, got.status, status, got.raw)
		return
	}
	if got.head {
		return // it has no body
	}
	if ct := got.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s: Content-Type %q", what, ct)
	}
	p, _ := got.body.(map[string]any)
	id, _ := p["id"].(string)
	message, _ := p["message"].(string)
	request, _ := p["request_id"].(string)
	if id == "" || message == "" || request == "" || p["detailed_error"] != "" || p["status_code"] != float64(status) || len(p) != 5 {
		t.Errorf("%s: not the form of an error: %.300s", what, got.raw)
	}
	if request != got.header.Get("X-Request-Id") {
		t.Errorf("%s: request id %q, in the header %q", what, request, got.header.Get("X-Request-Id"))
	}
}

func (f *fixture) wantNotBuilt(t *testing.T, op operation) {
	t.Helper()
	path := parameter.ReplaceAllStringFunc(op.path, func(p string) string {
		if v, ok := f.values[strings.Trim(p, "{}")]; ok {
			return v
		}
		return f.values["user_id"]
	})
	got := f.send(t, op.method, path, f.token("ada"), nil)
	f.wantProblem(t, "not built", got, http.StatusNotImplemented)
	if !t.Failed() {
		return
	}
	t.Log("if it is built now, it needs a row in contract()")
}

func (f *fixture) wantHeaders(t *testing.T, method string, got reply) {
	t.Helper()
	for _, h := range []string{"X-Request-Id", "X-Version-Id", "X-Nearside-Position"} {
		if got.header.Get(h) == "" {
			t.Errorf("good: no %s", h)
		}
	}
	if method == http.MethodGet && got.header.Get("Expires") != "0" {
		t.Errorf("good: Expires %q", got.header.Get("Expires"))
	}
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
