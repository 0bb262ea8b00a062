package rate

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Neighbours is how many times as much the signed-in callers of one address may spend together as
// one account.
const Neighbours = 16

// DefaultStoreSize is how many accounts and addresses are remembered, each with all its buckets.
const DefaultStoreSize = 50_000

// A caller that goes on after this many refusals in a row is answered only after a pause, so that
// ignoring a refusal costs this edge no more than heeding it.
const (
	patience  = 20
	holdFor   = 500 * time.Millisecond
	maxOnHold = 1024 // requests; more are answered at once
)

// Config configures a Limiter. The zero value of each field means its documented default.
type Config struct {
	Off     bool           // nothing is limited; addresses are found all the same
	Rates   Rates          // of the classes that differ from the defaults
	Trusted []netip.Prefix // proxies whose X-Forwarded-For is believed; default: none
	Size    int            // accounts and addresses remembered; default DefaultStoreSize

	Metrics prometheus.Registerer // default: not registered
	Logger  *slog.Logger          // default: discard
	Now     func() time.Time      // default time.Now
}

// Limiter has the buckets of an edge.
type Limiter struct {
	// Immutable after New.
	off     bool
	trusted []netip.Prefix
	units   [classes]time.Duration // in which one token comes
	full    [classes]time.Duration // in which an empty bucket becomes full
	rates   [classes]Rate
	now     func() time.Time
	log     *slog.Logger
	refused *prometheus.CounterVec // by class and share
	onHold  chan struct{}          // one token for each request that is held
	warn    sync.Once              // about a proxy that is not trusted

	mu    sync.Mutex // guards everything below
	purse *simplelru.LRU[key, *purse]
	known *simplelru.LRU[key, struct{}] // logins that succeeded, by address
}

// New makes a Limiter.
func New(cfg Config) (*Limiter, error) {
	if err := cfg.Rates.Check(); err != nil {
		return nil, err
	}
	if cfg.Size <= 0 {
		cfg.Size = DefaultStoreSize
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Limiter{off: cfg.Off, trusted: cfg.Trusted, now: cfg.Now, log: cfg.Logger, rates: defaults, onHold: make(chan struct{}, maxOnHold)}
	for c := range classes {
		if r, ok := cfg.Rates[c.String()]; ok {
			l.rates[c] = r
		}
		l.units[c] = time.Duration(float64(time.Second) / l.rates[c].PerSec)
		l.full[c] = time.Duration(float64(time.Second) * l.rates[c].MaxBurst / l.rates[c].PerSec)
	}
	var err error
	if l.purse, err = simplelru.NewLRU[key, *purse](cfg.Size, nil); err != nil {
		return nil, fmt.Errorf("rate.Config.Size: %w", err)
	}
	if l.known, err = simplelru.NewLRU[key, struct{}](cfg.Size, nil); err != nil {
		return nil, fmt.Errorf("rate.Config.Size: %w", err)
	}
	l.refused = promauto.With(cfg.Metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "nearside_rate_refusals_total", Help: "Requests refused because a bucket was empty, by class and whose bucket it was.",
	}, []string{"class", "share"})
	return l, nil
}

// purse has the buckets of one account or address.
type purse struct {
	empty   [classes]int64 // when each bucket would be full again, in Unix nanoseconds; a full one has a time that is over
	refused int            // requests since the last one that was allowed
	from    netip.Addr     // of an account: where it was last seen
}

// Verdict says whether a request may go on, and how the bucket stands that has the least left.
type Verdict struct {
	Allowed          bool
	Limit, Remaining int           // tokens: what the bucket holds, what is left in it
	Reset            time.Duration // until the bucket is full
	Wait             time.Duration // until there is a token again, if it is not allowed
	share            share
	hold             bool
}

// Take spends a token of a class, if every bucket of the caller has one. It reports false if
// nothing is limited.
func (l *Limiter) Take(class Class, c Caller) (Verdict, bool) {
	if l.off {
		return Verdict{Allowed: true}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().UnixNano()
	keys := l.keys(class, c)
	var purses [maxKeys]*purse
	verdict := Verdict{Allowed: true, Remaining: math.MaxInt}
	for i, k := range keys.used() {
		purses[i] = l.of(k)
		verdict = worse(verdict, l.look(class, k.share, purses[i], now), l.look(Bytes, k.share, purses[i], now))
	}
	for i, k := range keys.used() {
		if p := purses[i]; verdict.Allowed {
			p.refused = 0
			p.spend(class, now, l.cost(class, k.share, 1))
		} else if p.refused++; p.refused > patience {
			verdict.hold = true
		}
	}
	if !verdict.Allowed {
		l.refused.WithLabelValues(class.String(), verdict.share.String()).Inc()
	}
	return verdict, true
}

// worse gives the verdict on a bucket of the class, unless the one so far, or that on the bytes,
// refuses or leaves less.
func worse(sofar, class, bytes Verdict) Verdict {
	switch {
	case !sofar.Allowed:
		return sofar
	case !bytes.Allowed:
		return bytes
	case !class.Allowed || class.Remaining < sofar.Remaining:
		return class
	}
	return sofar
}

// look says how a bucket stands once a token is taken. Of bytes none is taken yet.
func (l *Limiter) look(class Class, s share, p *purse, now int64) Verdict {
	cost := l.cost(class, s, 1)
	if class == Bytes {
		cost = 0
	}
	missing := time.Duration(max(0, p.empty[class]-now)) + cost
	v := Verdict{Allowed: missing <= l.full[class], Limit: s.scaled(l.rates[class].MaxBurst), Reset: missing, share: s}
	if left := l.full[class] - missing; v.Allowed {
		v.Remaining = s.scaled(float64(left) / float64(l.units[class]))
	} else {
		v.Wait, v.Reset = -left, missing-cost
	}
	return v
}

// cost is how much later a bucket is full when n tokens are taken.
func (l *Limiter) cost(class Class, s share, n int) time.Duration {
	d := time.Duration(n) * l.units[class]
	if s == address {
		d /= Neighbours
	}
	return d
}

func (p *purse) spend(class Class, now int64, cost time.Duration) {
	p.empty[class] = max(p.empty[class], now) + int64(cost)
}

// Spend takes the bytes of an answer, also more than are left: then the next request is refused.
func (l *Limiter) Spend(c Caller, bytes int) {
	if l.off {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().UnixNano()
	keys := l.keys(Bytes, c)
	for _, k := range keys.used() {
		l.of(k).spend(Bytes, now, l.cost(Bytes, k.share, bytes))
	}
}

// Off reports whether nothing is limited.
func (l *Limiter) Off() bool { return l.off }

// of gives the buckets of an account or address. Those that are not known are full.
func (l *Limiter) of(k key) *purse {
	p, ok := l.purse.Get(k)
	if !ok {
		p = new(purse)
		l.purse.Add(k, p)
	}
	return p
}

// Hold waits a moment if the caller went on after many refusals.
func (l *Limiter) Hold(ctx context.Context, v Verdict) {
	if v.Allowed || !v.hold {
		return
	}
	select {
	case l.onHold <- struct{}{}:
		defer func() { <-l.onHold }()
	default:
		return
	}
	t := time.NewTimer(holdFor)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
