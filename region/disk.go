package region

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// disk watches the free space for the log. Proposals are refused before the disk is full, so that Raft's
// own writes always have space.
type disk struct {
	dir   string
	least uint64
	every time.Duration
	read  func(dir string) (uint64, error)

	free atomic.Uint64
	low  atomic.Bool
}

func newDisk(c *Config) *disk {
	return &disk{dir: c.Dir, least: c.MinFreeBytes, every: c.DiskEvery, read: c.free}
}

// check reads the free space once.
func (d *disk) check() error {
	free, err := d.read(d.dir)
	if err != nil {
		return fmt.Errorf("reading the free space: %w", err)
	}
	d.free.Store(free)
	d.low.Store(free < d.least)
	return nil
}

// run checks until ctx ends and calls onLow after every check that found little space.
func (d *disk) run(ctx context.Context, onLow func()) error {
	t := time.NewTicker(d.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := d.check(); err != nil {
			return err
		}
		if d.low.Load() {
			onLow()
		}
	}
}

// refusal is the error for proposals while the disk is full, else nil.
func (d *disk) refusal() error {
	if !d.low.Load() {
		return nil
	}
	return diskFull.With("free", d.free.Load()>>20, "least", d.least>>20)
}

func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}
