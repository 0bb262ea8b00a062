package pg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
)

// fakePrograms makes a folder whose postgres says a version.
func fakePrograms(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "initdb"} {
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The folder that the environment names is used; if it does not work, that is an error, and no other
// folder is tried.
func TestLocate_Environment(t *testing.T) {
	dir := fakePrograms(t, t.TempDir(), "17.2")
	t.Setenv("NEARSIDE_POSTGRES_BIN", dir)
	if got, err := Locate(); got != dir || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	for _, version := range []string{"13.9", "not a version"} {
		t.Setenv("NEARSIDE_POSTGRES_BIN", fakePrograms(t, t.TempDir(), version))
		if _, err := Locate(); core.KindOf(err) != core.KindNotFound {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

// The PATH is searched before the build folder, which is also found from folders below it. Existing
// data need programs of their version. If there is no PostgreSQL, the error says how to get it.
func TestLocate_Order(t *testing.T) {
	t.Setenv("NEARSIDE_POSTGRES_BIN", "")
	inPath := fakePrograms(t, filepath.Join(t.TempDir(), "bin"), "98.1")
	t.Setenv("PATH", inPath)
	top := t.TempDir()
	inBuild := fakePrograms(t, filepath.Join(top, ".build", "postgres", "bin"), "99.1")
	below := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	if got, err := Locate(); got != inPath || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, inPath)
	}
	if got, err := locate(99); got != inBuild || err != nil {
		t.Errorf("for version 99 got %s, %v; want %s", got, err, inBuild)
	}
	if _, err := locate(97); err == nil || !strings.Contains(err.Error(), "PostgreSQL 97") {
		t.Errorf("for version 97 got %v", err)
	}
}

// The log is bounded to one file and an older one. Its last lines are kept for error messages.
func TestBoundedLog_Rotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postgres.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 64<<10-1) + "\n")
	for range 3 * maxLogBytes / len(line) {
		l.Write(line)
	}
	l.Write([]byte("the end\n"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + ".1"} {
		if st, err := os.Stat(p); err != nil || st.Size() > maxLogBytes {
			t.Errorf("%s: %v, %v", p, st, err)
		}
	}
	if got := l.lastLines(); !strings.HasSuffix(got, "the end") || len(got) > 2*tailBytes {
		t.Errorf("the last lines are %q", got)
	}
}

// If the account may not read the folder of the programs, they are run from a copy.
func TestReachable_ClosedFolder(t *testing.T) {
	acc, err := pickAccount()
	if err != nil {
		t.Fatal(err)
	}
	if acc == nil {
		t.Skip("only root runs PostgreSQL as somebody else")
	}
	top := t.TempDir()
	if err := os.Chmod(top, 0o700); err != nil {
		t.Fatal(err)
	}
	bin := fakePrograms(t, filepath.Join(top, "bin"), "99.1")
	for _, part := range []string{"lib", "share"} {
		if err := os.Mkdir(filepath.Join(top, part), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	open := fakePrograms(t, filepath.Join(os.TempDir(), filepath.Base(top)+t.Name(), "bin"), "99.1")
	defer os.RemoveAll(filepath.Dir(open))
	if got, err := reachable(open, acc); got != open || err != nil {
		t.Errorf("an open folder: %s, %v", got, err)
	}
	got, err := reachable(bin, acc)
	if err != nil || got == bin {
		t.Fatalf("got %s, %v", got, err)
	}
	defer os.RemoveAll(filepath.Dir(got))
	if !acc.canRun(got) {
		t.Errorf("%s cannot be run", got)
	}
	if again, err := reachable(bin, acc); again != got || err != nil {
		t.Errorf("a second time: %s, %v", again, err)
	}
}
