package link_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

func TestPKI_Files(t *testing.T) {
	// An authority and credentials can be saved and loaded; only the owner can read the keys.
	dir := t.TempDir()
	if _, err := link.LoadCA(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	ca := newCA(t, "dep")
	if err := ca.Save(dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := link.LoadCA(dir)
	if err != nil || loaded.Deployment != "dep" {
		t.Fatal(err)
	}
	creds := issue(t, loaded, "n", link.RoleHome, link.RoleEdge)
	node := t.TempDir()
	if err := creds.Save(node); err != nil {
		t.Fatal(err)
	}
	got, err := link.LoadCredentials(node)
	if err != nil {
		t.Fatal(err)
	}
	want := link.Identity{Deployment: "dep", Region: "here", Node: "n", Roles: []link.Role{link.RoleHome, link.RoleEdge}}
	if diff := cmp.Diff(want, got.Identity); diff != "" {
		t.Fatal(diff)
	}
	for _, f := range []string{filepath.Join(dir, "ca.key"), filepath.Join(node, "node.key")} {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatal(f, info, err)
		}
	}
	if _, err := loaded.Issue(link.Identity{Region: "a/b", Node: "n", Roles: want.Roles}, time.Now(), time.Hour); core.KindOf(err) != core.KindInvalid {
		t.Fatal(err)
	}
}

func TestCredentials_Valid(t *testing.T) {
	// A node notices itself that others will refuse it: its certificate has expired, or is from
	// another authority than it trusts.
	ca, dir := newCA(t, "dep"), t.TempDir()
	creds := issue(t, ca, "n", link.RoleEdge)
	if err := creds.Valid(time.Now()); err != nil {
		t.Error(err)
	}
	if err := creds.Valid(time.Now().Add(2 * time.Hour)); core.KindOf(err) != core.KindUnauthorized {
		t.Errorf("an hour after its end: %v", err)
	}
	if err := creds.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := newCA(t, "dep").Save(dir); err != nil {
		t.Fatal(err)
	}
	mixed, err := link.LoadCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := mixed.Valid(time.Now()); core.KindOf(err) != core.KindUnauthorized {
		t.Errorf("of another authority: %v", err)
	}
}
