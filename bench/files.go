package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/cmd/demo"
	"github.com/nearside/nearside/core/eventually"
)

// What is transferred, and what it may cost.
const (
	streamBytes  = 64 << 20
	smallBytes   = 1 << 20
	smallReaders = 64
	rounds       = 5 // of each of the two that are compared, in turns
	farBytes     = 10 << 20
	farOneWay    = 100 * time.Millisecond
	farMbit      = 100
	hugeBytes    = 2 << 30
	hugeRSS      = 64 // MiB above idle
)

// noise gives a reader of n bytes that can be neither compressed nor deduplicated.
func noise(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed, 1}), n)
}

// files measures how fast cached files are read from one node, compared with http.ServeFile for the same
// files.
func (b *bench) files(ctx context.Context) error {
	return b.alone(ctx, "", func(_ *world.World, p load.Person, room load.Room) error { return b.hits(ctx, p, room) })
}

// upload measures how much memory a huge upload needs, on a newly started node.
func (b *bench) upload(ctx context.Context) error {
	return b.alone(ctx, "files: {max_mb: 4096, cache_mb: 8192}\n", func(w *world.World, p load.Person, room load.Room) error {
		return b.hugeUpload(ctx, w, p, room)
	})
}

// alone runs a measurement on one node, with a user and a channel.
func (b *bench) alone(ctx context.Context, config string, measure func(*world.World, load.Person, load.Room) error) error {
	w, err := world.Alone(ctx, b.program, config)
	if err != nil {
		return err
	}
	defer func() { b.stop(w) }()
	people, room, err := load.Meet(ctx, "bench", []string{w.URL})
	if err != nil {
		return fmt.Errorf("make accounts: %w", err)
	}
	return measure(w, people[0], room)
}

// hits compares reads of cached files with http.ServeFile.
func (b *bench) hits(ctx context.Context, p load.Person, room load.Room) error {
	dir, err := os.MkdirTemp("", "nearside-bench-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	plain, err := startPlain(ctx, "-serve-files", dir)
	if err != nil {
		return err
	}
	defer plain.stop()
	put := func(seed byte, n int64) (ours, theirs string, err error) {
		name := fmt.Sprintf("%d.bin", seed)
		raw, err := io.ReadAll(noise(seed, n))
		if err != nil {
			return "", "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			return "", "", err
		}
		f, err := p.Upload(ctx, room.Channel, name, bytes.NewReader(raw), n)
		if err != nil {
			return "", "", fmt.Errorf("upload: %w", err)
		}
		if _, err := p.Post(ctx, room.Channel, "see", f.ID); err != nil {
			return "", "", fmt.Errorf("post: %w", err)
		}
		return p.Base + "/api/v4/files/" + f.ID, plain.url + "/" + name, nil
	}
	big, bigPlain, err := put(0, streamBytes)
	if err != nil {
		return err
	}
	if err := b.compare(ctx, "file of 64 MiB from cache, one stream", p.Token, []string{big}, []string{bigPlain}); err != nil {
		return err
	}
	var small, smallPlain []string
	for i := range smallReaders {
		ours, theirs, err := put(byte(i+1), smallBytes)
		if err != nil {
			return err
		}
		small, smallPlain = append(small, ours), append(smallPlain, theirs)
	}
	return b.compare(ctx, "64 files of 1 MiB from cache at once", p.Token, small, smallPlain)
}

// compare reads from both in turns, with a reader for each address, and reports the median ratio of their
// rates, because a disturbance affects both reads of a turn.
func (b *bench) compare(ctx context.Context, what, token string, ours, theirs []string) error {
	var mine, plain []float64
	for range rounds {
		for _, side := range []struct {
			urls  []string
			token string
			rates *[]float64
		}{{ours, token, &mine}, {theirs, "", &plain}} {
			rate, err := rateOf(ctx, b.duration(2*time.Second), side.urls, side.token)
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			*side.rates = append(*side.rates, rate)
		}
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = mine[i] / plain[i]
	}
	for _, list := range [][]float64{mine, plain, ratios} {
		slices.Sort(list)
	}
	b.report.note("%s: %.0f MB/s, http.ServeFile %.0f MB/s (medians of %d)", what, mine[rounds/2]/1e6, plain[rounds/2]/1e6, rounds)
	b.report.atLeast(what+", rate over that of http.ServeFile", ratios[rounds/2], 0.7, "")
	return nil
}

// rateOf gives the bytes a second that readers get, one at each address.
func rateOf(ctx context.Context, d time.Duration, urls []string, token string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, d+time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards total and failed
	var total int64
	var failed error
	began := time.Now()
	for _, u := range urls {
		wg.Go(func() {
			buffer := make([]byte, 256<<10)
			for time.Since(began) < d {
				n, err := load.Drain(ctx, u, token, buffer)
				mu.Lock()
				total += n
				if failed == nil {
					failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(total) / time.Since(began).Seconds(), failed
}

// hugeUpload measures the peak of memory during an upload of 2 GiB.
func (b *bench) hugeUpload(ctx context.Context, w *world.World, p load.Person, room load.Room) error {
	size := int64(hugeBytes)
	if b.short {
		size /= 8
	}
	idle, err := residentNow(w.PID())
	if err != nil {
		return err
	}
	if err := forgetPeak(w.PID()); err != nil {
		return err
	}
	began := time.Now()
	if _, err := p.Upload(ctx, room.Channel, "huge.bin", noise(200, size), size); err != nil {
		return fmt.Errorf("upload of 2 GiB: %w", err)
	}
	took := time.Since(began)
	peak, err := residentPeak(w.PID())
	if err != nil {
		return err
	}
	b.report.note("upload of %d MiB: %.0f MB/s; memory %d MiB idle, %d MiB at most", size>>20, float64(size)/1e6/took.Seconds(), idle>>20, peak>>20)
	b.report.atMost("memory above idle while 2 GiB are uploaded", float64(peak-idle)/(1<<20), hugeRSS, " MiB")
	return nil
}

// far measures a file's first read at an edge that is 200 ms and 100 Mbit/s away from home.
func (b *bench) far(ctx context.Context) error {
	factor := float64(farOneWay) / float64(demo.OneWay("virginia", "singapore"))
	w, err := world.Demo(ctx, b.program, "--latency", fmt.Sprintf("%.4f", factor), "--regions", "virginia,singapore")
	if err != nil {
		return err
	}
	defer func() { b.stop(w) }()
	edges, err := w.Edges()
	if err != nil {
		return err
	}
	people, room, err := load.Meet(ctx, "bench", world.URLs(edges))
	if err != nil {
		return fmt.Errorf("make accounts: %w", err)
	}
	if err := narrow(ctx, w, edges[len(edges)-1]); err != nil {
		return err
	}
	var first, whole []time.Duration
	for i := range rounds {
		sum := sha256.New()
		f, err := people[0].Upload(ctx, room.Channel, "far.bin", io.TeeReader(noise(byte(i), farBytes), sum), farBytes)
		if err != nil {
			return fmt.Errorf("upload: %w", err)
		}
		if _, err := people[0].Post(ctx, room.Channel, "see", f.ID); err != nil {
			return err
		}
		if err := known(ctx, people[len(people)-1], f.ID); err != nil {
			return err
		}
		t, err := people[len(people)-1].Download(ctx, f.ID)
		if err != nil {
			return err
		}
		if !bytes.Equal(t.SHA256[:], sum.Sum(nil)) {
			return fmt.Errorf("the file of round %d came back with other bytes", i)
		}
		first, whole = append(first, t.FirstByte), append(whole, t.Took)
	}
	slices.Sort(first)
	slices.Sort(whole)
	rtt := 2 * farOneWay
	transfer := time.Duration(float64(farBytes) * 8 / (farMbit * 1e6) * float64(time.Second))
	b.report.within("cold read over 200 ms, first byte, slowest of 5", first[rounds-1], rtt+30*time.Millisecond)
	b.report.within("cold read over 200 ms and 100 Mbit/s, 10 MiB, slowest of 5", whole[rounds-1], 10*rtt+transfer)
	b.report.note("cold reads: first byte from %s, whole from %s", milliseconds(first[0]), milliseconds(whole[0]))
	return nil
}

// narrow sets delay and bandwidth between an edge and every other node.
func narrow(ctx context.Context, w *world.World, edge world.Node) error {
	nodes, err := w.Nodes()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Name == edge.Name {
			continue
		}
		if err := edge.Far(ctx, n.Name, farOneWay, farMbit); err != nil {
			return err
		}
		if err := n.Far(ctx, edge.Name, farOneWay, farMbit); err != nil {
			return err
		}
	}
	return nil
}

// known waits until an edge knows a file, without reading it.
func known(ctx context.Context, p load.Person, id string) error {
	c := p.Conn()
	defer c.Close()
	return eventually.Poll(ctx, 10*time.Second, func() error {
		_, err := c.Call(ctx, "GET", "files/"+id+"/info", nil, nil)
		return err
	})
}
