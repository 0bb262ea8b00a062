package origin

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// The limits of copying between home nodes. If a queue is full, the copy counts as failed; repair
// makes it later.
const (
	copiesAtOnce  = 4 // to each other home node
	maxCopies     = 256
	fetchesAtOnce = 2
	maxFetches    = 256
	copyStart     = 10 * time.Second // time for a copy, besides the time for its bytes
	copyRate      = 1 << 20          // slowest accepted rate of a copy, bytes per second
	peerPause     = 2 * time.Second  // a home node that did not answer is not asked for this long
)

// Disks stores blobs on the disks of the home nodes. Put returns when a majority has the blob, so
// the loss of any minority loses no blob. If this node's copy is missing or damaged, the blob is
// read from another home node and fetched from there.
type Disks struct {
	// immutable after NewDisks
	own   cdn.Store
	peers []*peerDisk
	log   *slog.Logger

	fetches chan cdn.Digest // to the fetchers; never closed

	mu       sync.Mutex
	fetching map[cdn.Digest]bool // guarded by mu

	repaired atomic.Int64
}

// peerDisk is the disk of another home node.
type peerDisk struct {
	name  string
	blobs Blobs // the peer's own disk, over a link
	queue chan copying
	avoid atomic.Int64 // time in Unix nanoseconds until which the peer is not asked
}

// copying is a blob on its way to another home node.
type copying struct {
	blob cdn.Digest
	size int64
	done chan<- error // buffered, so that sending never blocks
}

// NewDisks stores blobs on this node's own disk and on the disks of the other home nodes, which
// are given by name.
func NewDisks(own cdn.Store, peers map[string]Blobs, log *slog.Logger) *Disks {
	o := &Disks{own: own, log: log, fetches: make(chan cdn.Digest, maxFetches), fetching: map[cdn.Digest]bool{}}
	for name, blobs := range peers {
		o.peers = append(o.peers, &peerDisk{name: name, blobs: blobs, queue: make(chan copying, maxCopies)})
	}
	return o
}

// Run copies and fetches until ctx ends.
func (o *Disks) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range o.peers {
		for range copiesAtOnce {
			wg.Go(func() { o.copyLoop(ctx, p) })
		}
	}
	for range fetchesAtOnce {
		wg.Go(func() { o.fetchLoop(ctx) })
	}
	wg.Wait()
	return nil
}

// Put implements cdn.Putter.
func (o *Disks) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	if err := o.own.Put(ctx, d, size, r); err != nil {
		return err
	}
	return o.replicate(ctx, d, size)
}

// replicate returns when a majority of the home nodes, this one included, has a blob that is on
// the own disk. Copies to the others continue.
func (o *Disks) replicate(ctx context.Context, d cdn.Digest, size int64) error {
	need := (len(o.peers) + 1) / 2
	done := make(chan error, len(o.peers))
	for _, p := range o.peers {
		select {
		case p.queue <- copying{d, size, done}:
		default:
			done <- core.E(core.KindUnavailable, "too many copies are on their way to %s", p.name)
		}
	}
	limit := time.NewTimer(copyLimit(size))
	defer limit.Stop()
	for failed := 0; need > 0; {
		var err error
		select {
		case err = <-done:
		case <-limit.C:
			return fewCopies(core.E(core.KindTimeout, "the other home nodes are slow"))
		case <-ctx.Done():
			return fewCopies(ctx.Err())
		}
		if err == nil {
			need--
			continue
		}
		if failed++; len(o.peers)-failed < need {
			return fewCopies(err)
		}
	}
	return nil
}

func fewCopies(cause error) error {
	return core.E(core.KindUnavailable, "The file could not be copied to enough home nodes. Try again later.").WithCause(cause)
}

func copyLimit(size int64) time.Duration {
	return copyStart + time.Duration(size/copyRate)*time.Second
}

func (o *Disks) copyLoop(ctx context.Context, p *peerDisk) {
	for {
		select {
		case c := <-p.queue:
			err := o.copyTo(ctx, p, c)
			if err != nil {
				o.log.Debug("a copy failed; repair will bring it", "blob", c.blob, "to", p.name, "error", err)
			}
			c.done <- err
		case <-ctx.Done():
			return
		}
	}
}

func (o *Disks) copyTo(ctx context.Context, p *peerDisk, c copying) error {
	if p.away() {
		return core.E(core.KindUnavailable, "%s did not answer a moment ago", p.name)
	}
	ctx, cancel := context.WithTimeout(ctx, copyLimit(c.size))
	defer cancel()
	b, err := o.own.Get(ctx, c.blob, cdn.Whole)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // it was only read
	return p.note(p.blobs.Put(ctx, c.blob, c.size, b))
}

// Get implements cdn.Getter.
func (o *Disks) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	b, err := o.own.Get(ctx, d, r)
	if err == nil {
		b.ReadCloser = &watched{b.ReadCloser, func(err error) {
			if core.KindOf(err) == core.KindDiverged {
				o.requestFetch(d)
			}
		}}
		return b, nil
	}
	if !elsewhere(err) {
		return b, err
	}
	at, b, err := o.askPeers(err, func(p *peerDisk) (cdn.Blob, error) { return p.blobs.Get(ctx, d, r) })
	if at != nil {
		o.requestFetch(d)
	}
	return b, err
}

// Stat implements cdn.Stater.
func (o *Disks) Stat(ctx context.Context, d cdn.Digest) (int64, error) {
	size, err := o.own.Stat(ctx, d)
	if err == nil || !elsewhere(err) {
		return size, err
	}
	_, b, err := o.askPeers(err, func(p *peerDisk) (cdn.Blob, error) {
		size, err := p.blobs.Stat(ctx, d)
		return cdn.Blob{Size: size}, err
	})
	return b.Size, err
}

// elsewhere reports whether another node may succeed: the blob is not here, or our disk fails.
func elsewhere(err error) bool {
	k := core.KindOf(err)
	return k == core.KindNotFound || k == core.KindUnavailable
}

// askPeers asks the other home nodes in turn until one has the blob. It returns core.KindNotFound
// only if every one has said so.
func (o *Disks) askPeers(last error, get func(*peerDisk) (cdn.Blob, error)) (*peerDisk, cdn.Blob, error) {
	for _, p := range o.peers {
		if p.away() {
			last = core.E(core.KindUnavailable, "%s did not answer a moment ago", p.name)
			continue
		}
		b, err := get(p)
		if p.note(err) == nil {
			return p, b, nil
		}
		if core.KindOf(err) != core.KindNotFound {
			last = err
		}
	}
	return nil, cdn.Blob{}, last
}

// away reports whether the node failed to answer within the last peerPause.
func (p *peerDisk) away() bool { return time.Now().UnixNano() < p.avoid.Load() }

// note records whether the node answers.
func (p *peerDisk) note(err error) error {
	switch k := core.KindOf(err); {
	case err == nil || k == core.KindNotFound:
		p.avoid.Store(0)
	case k == core.KindUnavailable || k == core.KindTimeout:
		p.avoid.Store(time.Now().Add(peerPause).UnixNano())
	}
	return err
}

// requestFetch queues a blob to be fetched. If the queue is full it does nothing: the next
// reader, or repair, requests it again.
func (o *Disks) requestFetch(d cdn.Digest) {
	if len(o.peers) == 0 {
		return
	}
	select {
	case o.fetches <- d:
	default:
	}
}

func (o *Disks) fetchLoop(ctx context.Context) {
	for {
		select {
		case d := <-o.fetches:
			if err := o.fetch(ctx, d); err != nil && ctx.Err() == nil {
				o.log.Warn("a blob could not be fetched", "blob", d, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// fetch restores a missing or damaged blob from another home node. It does nothing if another
// goroutine is already fetching it.
func (o *Disks) fetch(ctx context.Context, d cdn.Digest) error {
	if !o.begin(d) {
		return nil
	}
	defer o.end(d)
	if o.intact(ctx, d) {
		return nil
	}
	last := error(core.E(core.KindNotFound, "no other home node has the blob"))
	for _, p := range o.peers {
		err := o.fetchFrom(ctx, p, d)
		if err == nil {
			o.repaired.Add(1)
			o.log.Info("repaired a blob", "blob", d, "from", p.name)
			return nil
		}
		if core.KindOf(err) != core.KindNotFound {
			last = err
		}
	}
	return last
}

func (o *Disks) begin(d cdn.Digest) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fetching[d] {
		return false
	}
	o.fetching[d] = true
	return true
}

func (o *Disks) end(d cdn.Digest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.fetching, d)
}

// intact reads the own copy to its end.
func (o *Disks) intact(ctx context.Context, d cdn.Digest) bool {
	_, err := cdn.ReadWhole(ctx, o.own, d)
	return err == nil
}

func (o *Disks) fetchFrom(ctx context.Context, p *peerDisk, d cdn.Digest) error {
	if p.away() {
		return core.E(core.KindUnavailable, "%s did not answer a moment ago", p.name)
	}
	size, err := p.blobs.Stat(ctx, d)
	if p.note(err) != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, copyLimit(size))
	defer cancel()
	b, err := p.blobs.Get(ctx, d, cdn.Whole)
	if p.note(err) != nil {
		return err
	}
	defer func() { _ = b.Close() }() // Put has checked the content
	return o.own.Put(ctx, d, b.Size, b)
}

// Pending returns the number of copies that wait for other home nodes.
func (o *Disks) Pending() (n int) {
	for _, p := range o.peers {
		n += len(p.queue)
	}
	return n
}

// Repaired returns the number of blobs fetched from other home nodes since the start.
func (o *Disks) Repaired() int64 { return o.repaired.Load() }
