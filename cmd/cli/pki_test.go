package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/replication/link"
)

// Without any node, the authority's machine makes certificates and issuers that others accept, and says what comes next.
func TestPKI_Offline(t *testing.T) {
	t.Setenv(adminEnv, "")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	do := func(want int, says string, args ...string) {
		t.Helper()
		code, out, errOut := run(append([]string{"pki"}, args...)...)
		if code != want || !strings.Contains(out+errOut, says) {
			t.Errorf("%q: exit code %d, said %q %q", args, code, out, errOut)
		}
	}
	do(0, "The authority of example", "init", at("authority"), "--deployment", "example")
	do(1, "already", "init", at("authority"))
	do(0, "nearside pki admit", "issue", "edge-tokyo", "--region", "tokyo", "--roles", "edge", "--ca", at("authority"), "--out", at("edge-tokyo"))
	do(2, "--region and --roles", "issue", "edge-tokyo", "--ca", at("authority"), "--out", at("edge-tokyo"))
	do(2, "unknown role", "issue", "edge-paris", "--region", "paris", "--roles", "editor", "--ca", at("authority"), "--out", at("edge-paris"))
	do(1, "has the certificate of edge-tokyo", "issue", "edge-paris", "--region", "paris", "--roles", "edge", "--ca", at("authority"), "--out", at("edge-tokyo"))
	do(0, "An issuer until", "issue", "--issuer", "--ca", at("authority"), "--out", at("virginia-1"))
	do(2, "--ca DIR", "issue", "--issuer", "--out", at("virginia-1"))
	do(2, "which node", "issue", "--out", at("x"))
	do(1, "no such file", "admit", at("nothing"))

	issuer, err := link.LoadIssuer(at("virginia-1"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	req, err := link.NewRequest()
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := issuer.Certify(link.IdentityOf("edge-berlin", "berlin", "edge"), req.Public(), now, link.NodeValidity)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := link.PeerOf(text, at("authority"), now); err != nil || p.Node != "edge-berlin" {
		t.Errorf("a certificate of the issuer: %v, %v", p, err)
	}
	if _, err := link.PeerOf(text, at("authority"), now.Add(link.NodeValidity)); err == nil {
		t.Error("a certificate is good after its end")
	}
}
