package pg

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// ProcessesIn is processesIn for tests.
func ProcessesIn(dir string) ([]int, error) { return processesIn(dir) }

// MigrateFiles is Migrate with other files.
func MigrateFiles(ctx context.Context, db *DB, files fs.FS, schema string) error {
	return migrate(ctx, db, files, schema)
}

// StartLoose starts PostgreSQL on a directory without a node that owns it.
func StartLoose(dir string) (pid int, wait func(), err error) {
	bin, err := Locate()
	if err != nil {
		return 0, nil, err
	}
	acc, err := pickAccount()
	if err != nil {
		return 0, nil, err
	}
	root, err := os.Open(filepath.Join(dir, "postgres"))
	if err != nil {
		return 0, nil, err
	}
	defer root.Close()
	c := &cluster{root: root.Name(), account: acc}
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", c.inherited("data"), "-k", c.inherited(""), "-c", "listen_addresses=")
	cmd.Dir, cmd.ExtraFiles = "/", []*os.File{root}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if acc != nil {
		cmd.SysProcAttr.Credential = acc.credential()
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	return cmd.Process.Pid, func() { cmd.Process.Kill(); cmd.Wait() }, nil
}
