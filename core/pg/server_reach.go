package pg

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/nearside/nearside/core"
)

// copiesDir has copies of programs that the account cannot read, such as those in root's home. Only
// root can write there, so nobody else can replace the programs.
const copiesDir = "/var/lib/nearside"

// reachable gives bin, or a copy of its installation if the account may not read it.
func reachable(bin string, acc *account) (string, error) {
	if acc == nil || acc.canRun(bin) {
		return bin, nil
	}
	real, err := filepath.EvalSymlinks(bin)
	if err != nil {
		return "", fmt.Errorf("find PostgreSQL: %w", err)
	}
	st, err := os.Stat(filepath.Join(real, "postgres"))
	if err != nil {
		return "", fmt.Errorf("find PostgreSQL: %w", err)
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", real, st.Size(), st.ModTime().UnixNano()))
	to := filepath.Join(copiesDir, fmt.Sprintf("postgres-%x", key[:6]))
	if !acc.canRun(filepath.Join(to, "bin")) {
		err := copyPrograms(filepath.Dir(real), to)
		if err != nil && !acc.canRun(filepath.Join(to, "bin")) { // another node may have copied it meanwhile
			return "", core.E(core.KindInvalid, "PostgreSQL is in %s, which the unprivileged user that must run it may not read, and it could not be copied to %s.", bin, to).WithCause(err)
		}
	}
	return filepath.Join(to, "bin"), nil
}

// canRun reports whether the account can run the programs in bin.
func (a *account) canRun(bin string) bool {
	cmd := exec.Command(filepath.Join(bin, "postgres"), "--version")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	return cmd.Run() == nil
}

func (a *account) credential() *syscall.Credential {
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// copyPrograms copies an installation to a folder that appears only once the copy is complete.
func copyPrograms(from, to string) error {
	if err := os.MkdirAll(copiesDir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(copiesDir, 0o755); err != nil { // whatever the umask
		return err
	}
	tmp, err := os.MkdirTemp(copiesDir, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, part := range []string{"bin", "lib", "share"} {
		if err := os.CopyFS(filepath.Join(tmp, part), os.DirFS(filepath.Join(from, part))); err != nil {
			return err
		}
	}
	if err := filepath.WalkDir(tmp, openToAll); err != nil {
		return err
	}
	return os.Rename(tmp, to)
}

// openToAll lets everybody read what the owner can read, and run what the owner can run.
func openToAll(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return err
	}
	mode := info.Mode().Perm()
	return os.Chmod(path, mode|mode&0o500>>3|mode&0o500>>6)
}
