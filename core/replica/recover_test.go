package replica_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

// PostgreSQL is killed again and again in the middle of a stream. A caller that retries goes on, no entry
// is lost or applied twice, and the digest is that of a replica without kills, although the database
// acknowledged commits that it then lost.
func TestReplica_PostgresKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills a server")
	}
	dir := t.TempDir()
	server := pgtest.Server(t, pg.ServerConfig{Dir: dir})
	calm, hit := newNode(t, pgtest.Database(t)), newNode(t, server.Config(), func(c *replica.Config) { c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)) })
	l := newLog(t)
	entries := append(l.begin(), l.posts(1200)...)
	calm.apply(t, entries...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for at := 0; at < len(entries); at += 20 {
		batch := entries[at:min(at+20, len(entries))]
		if at%400 == 200 {
			kill(t, dir)
		}
		accepted(t, retry(ctx, t, hit, batch))
	}
	eventually.Nil(t, func() error { _, err := hit.Digests(ctx); return err })
	eventually.Nil(t, func() error { _, err := hit.Flush(ctx); return err })
	same(t, calm, hit)
}

// After a kill, what was acknowledged is applied again also when nothing new comes.
func TestReplica_PostgresKilled_Idle(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills a server")
	}
	dir := t.TempDir()
	server := pgtest.Server(t, pg.ServerConfig{Dir: dir})
	n := newNode(t, server.Config())
	l := newLog(t)
	n.apply(t, l.begin()...)
	n.apply(t, l.posts(300)...)
	want := n.Position()
	kill(t, dir)
	eventually.Nil(t, func() error {
		index, _, err := pg.QueryOne(t.Context(), n.db, "SELECT index FROM applied", pg.Scalar[int64])
		if err == nil && (core.Index(index) != want.Index || n.Position() != want) {
			err = fmt.Errorf("at %v, the database at %d, not %v", n.Position(), index, want)
		}
		return err
	})
}

// While a flush waits for a slow disk, batches are applied. If the database then crashes and loses them, they
// are applied again.
func TestReplica_AppliesWhileFlushing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills a server")
	}
	dir := t.TempDir()
	server := pgtest.Server(t, pg.ServerConfig{Dir: dir}) // it flushes nothing by itself, so the crash loses entries
	calm := newNode(t, pgtest.Database(t))
	hit := newNode(t, server.Config(), func(c *replica.Config) { c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)) })
	l := newLog(t)
	entries := append(l.begin(), l.posts(200)...)
	calm.apply(t, entries...)
	_ = hit.db.WriteTx(t.Context(), func(ctx context.Context, tx pg.Tx) error {
		count(t, tx, "SELECT index FROM local.flushed FOR UPDATE") // every flush waits for us
		accepted(t, hit.apply(t, entries[:100]...))
		eventually.Nil(t, func() error {
			if count(t, hit.db, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 0 {
				return errors.New("no flush is waiting")
			}
			return nil
		})
		accepted(t, hit.apply(t, entries[100:]...))
		kill(t, dir)
		return nil
	})
	eventually.Nil(t, func() error {
		at, err := hit.Flush(t.Context())
		if err == nil && at != calm.Position() {
			err = fmt.Errorf("flushed at %v, not at %v", at, calm.Position())
		}
		return err
	})
	same(t, calm, hit)
}

// retry applies a batch as region and follower do: until it succeeds.
func retry(ctx context.Context, t *testing.T, n *node, batch []core.Entry) []core.Receipt {
	t.Helper()
	var got []core.Receipt
	eventually.Nil(t, func() (err error) {
		got, err = n.Apply(ctx, batch)
		return err
	})
	return got
}

// kill ends PostgreSQL as a crash would, once it runs: sessions of a server that was killed
// before may live on for a while and answer, with nobody above them.
func kill(t *testing.T, dir string) {
	t.Helper()
	eventually.Nil(t, func() error {
		raw, err := os.ReadFile(dir + "/postgres/data/postmaster.pid")
		if err != nil {
			return err
		}
		line, _, _ := strings.Cut(string(raw), "\n")
		pid, err := strconv.Atoi(line)
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	})
}
