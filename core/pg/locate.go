package pg

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

// MinVersion is the oldest major version of PostgreSQL that is supported.
const MinVersion = 14

// Locate finds a folder that holds the programs postgres and initdb, of version MinVersion or
// later: $NEARSIDE_POSTGRES_BIN, the PATH, the folders of distributions (highest version
// first), then the build folder .build/postgres/bin of $NEARSIDE_BUILD, of the working
// directory or of the executable, or of a directory above one of them. The error says how to
// get PostgreSQL.
func Locate() (binDir string, err error) { return locate(0) }

// locate is Locate for one major version, or for any when want is zero.
func locate(want int) (string, error) {
	if dir := os.Getenv("NEARSIDE_POSTGRES_BIN"); dir != "" {
		if v := majorVersion(dir); v < MinVersion {
			return "", core.E(core.KindNotFound, "NEARSIDE_POSTGRES_BIN is %s, but that folder has no working postgres and initdb of version %d or later.", dir, MinVersion)
		}
		return dir, nil
	}
	for _, dir := range candidates() {
		if v := majorVersion(dir); v >= MinVersion && (want == 0 || v == want) {
			return dir, nil
		}
	}
	if want != 0 {
		return "", core.E(core.KindNotFound, "The data were made by PostgreSQL %d, which is not on this machine: install that version, or set NEARSIDE_POSTGRES_BIN to the folder of its programs.", want)
	}
	return "", core.E(core.KindNotFound, "PostgreSQL %d or later is not on this machine: install it (apt-get install postgresql, brew install postgresql), run deploy/fetch-postgres.sh, set NEARSIDE_POSTGRES_BIN to the folder of postgres and initdb, or use a running server with --postgres.", MinVersion)
}

func candidates() []string {
	var dirs []string
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	dirs = append(dirs, byVersion("/usr/lib/postgresql/*/bin")...)
	dirs = append(dirs, byVersion("/usr/pgsql-*/bin")...)
	dirs = append(dirs, byVersion("/opt/homebrew/opt/postgresql@*/bin")...)
	return append(dirs, buildDirs()...)
}

var digits = regexp.MustCompile(`\d+`)

// byVersion gives the folders of a pattern, highest version first.
func byVersion(pattern string) []string {
	dirs, _ := filepath.Glob(pattern) // only a malformed pattern fails
	version := func(dir string) int { return atoi(digits.FindString(dir)) }
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return dirs
}

func buildDirs() []string {
	const bin = "postgres/bin"
	var dirs []string
	if b := os.Getenv("NEARSIDE_BUILD"); b != "" {
		dirs = append(dirs, filepath.Join(b, bin))
	}
	var from []string
	if wd, err := os.Getwd(); err == nil {
		from = append(from, wd)
	}
	if exe, err := os.Executable(); err == nil {
		from = append(from, filepath.Dir(exe))
	}
	for _, dir := range from {
		for ; ; dir = filepath.Dir(dir) {
			dirs = append(dirs, filepath.Join(dir, ".build", bin))
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return dirs
}

// majorVersion gives the version of the programs in dir, or 0 when they do not work.
func majorVersion(dir string) int {
	for _, name := range []string{"initdb", "postgres"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode()&0o111 == 0 {
			return 0
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	return atoi(digits.FindString(strings.TrimPrefix(string(out), "postgres")))
}

// atoi gives 0 if s is not a number.
func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
