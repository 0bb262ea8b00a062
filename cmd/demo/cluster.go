package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core/pg"
)

// copyClusters gives each node without a PostgreSQL cluster a copy of the template: copying
// takes a fraction of initdb's time, and six nodes start at once.
func copyClusters(ctx context.Context, dir string, nodes []node.Config) error {
	template := filepath.Join(dir, "postgres-template")
	for _, n := range nodes {
		to := filepath.Join(n.Data, "postgres")
		if exists(to) {
			continue
		}
		if err := makeTemplate(ctx, template); err != nil {
			return fmt.Errorf("make the first database cluster: %w", err)
		}
		if err := copyTree(ctx, filepath.Join(template, "postgres"), to); err != nil {
			return fmt.Errorf("copy the database cluster for %s: %w", n.Name, err)
		}
	}
	return nil
}

// copyTree copies to another folder and renames that, so that there is never an incomplete cluster. cp
// keeps owners and modes, which PostgreSQL requires.
func copyTree(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	tmp := to + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-Rp", from, tmp).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.Rename(tmp, to)
}

// makeTemplate starts and stops a server once.
func makeTemplate(ctx context.Context, dir string) error {
	if exists(dir) {
		return nil
	}
	tmp := dir + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	s, err := pg.NewServer(pg.ServerConfig{Dir: tmp})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-ended:
		return errors.Join(err, ctx.Err())
	}
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}
