package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/core/backoff"
)

const (
	sampleEvery = 10 * time.Second
	warmUp      = 10 * time.Minute // caches fill
)

// reading is what one process took at one moment.
type reading struct {
	node       string
	pid        int
	at         time.Time
	age        time.Duration // since this process was first seen
	resident   int64         // bytes
	live       float64       // bytes on Go's heap that the last collection found in use, about
	goroutines float64
	files      int
}

// observer samples every process.
type observer struct {
	w *world.World

	mu       sync.Mutex // guards all below
	readings []reading
	disk     []int64 // bytes of the data directory
	born     map[int]time.Time
}

func (o *observer) run(ctx context.Context) {
	for backoff.Pause(ctx, sampleEvery) {
		nodes, err := o.w.Nodes()
		if err != nil {
			continue // it is being written
		}
		for _, n := range nodes {
			o.read(ctx, n)
		}
	}
}

// read samples a process; one that is just killed or starting is left out.
func (o *observer) read(ctx context.Context, n world.Node) {
	resident, err := world.Memory(n.PID, "VmRSS")
	if err != nil {
		return
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.PID))
	if err != nil {
		return
	}
	goroutines, err := n.Metric(ctx, "go_goroutines")
	if err != nil {
		return
	}
	next, err := n.Metric(ctx, "go_memstats_next_gc_bytes") // twice what is in use, by Go's default
	if err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.born[n.PID].IsZero() {
		o.born[n.PID] = now
	}
	o.readings = append(o.readings, reading{n.Name, n.PID, now, now.Sub(o.born[n.PID]), resident, next / 2, goroutines, len(files)})
}

// measureDisk notes how large the data directory is.
func (o *observer) measureDisk() {
	var total int64
	_ = filepath.WalkDir(o.w.Data(), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil // running servers create and remove files
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.disk = append(o.disk, total)
}

// of gives the readings of a node, in order.
func (o *observer) of(node string) []reading {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.readings), func(r reading) bool { return r.node != node })
}

// thirds gives the medians of the memory in the first and in the last third of readings.
func thirds(readings []reading) (first, last int64) {
	n := len(readings) / 3
	if n == 0 {
		return 0, 0
	}
	median := func(part []reading) int64 {
		var all []int64
		for _, r := range part {
			all = append(all, r.resident)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return median(readings[:n]), median(readings[len(readings)-n:])
}

// growth fits a line through the memory of readings, and gives how much it grows in an hour, as a share of its mean.
func growth(readings []reading) float64 {
	if len(readings) < 2 {
		return 0
	}
	var t, m, tt, tm float64
	for _, r := range readings {
		x, y := r.at.Sub(readings[0].at).Hours(), float64(r.resident)
		t, m, tt, tm = t+x, m+y, tt+x*x, tm+x*y
	}
	n := float64(len(readings))
	if d := n*tt - t*t; d > 0 {
		return (n*tm - t*m) / d / (m / n)
	}
	return 0
}
