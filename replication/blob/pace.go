package blob

import "time"

const (
	crawlAfter = 6           // round trips, in which a new connection moves twice crawlBytes
	crawlTime  = time.Second // at least
	crawlBytes = 512 << 10
	crawlWorth = 2 << 20     // bytes that must be left to make a new connection worth while
	crawlRest  = time.Minute // after a new connection that crawls too: it is the link
)

// pace finds out whether a transfer crawls.
type pace struct {
	on     *carrier
	began  time.Time
	from   int64         // moved by then, by all who share the connection
	waited time.Duration // for the connection, not for whoever gives or takes the bytes
	judged bool
}

func (l *lease) pace() pace { return pace{on: l.on, began: time.Now(), from: l.on.moved.Load()} }

// wait is called when the transfer begins to wait for its connection, and what it gives when that is over.
func (p *pace) wait() (over func()) {
	at := time.Now()
	return func() { p.waited += time.Since(at) }
}

// crawls says so once, when it is time to judge: its connection has moved less than a new one
// would have by now, though nothing else held the transfer up, and enough is left.
func (p *pace) crawls(left int64) bool {
	took := time.Since(p.began)
	if p.judged || p.on.RTT() < nearRTT || took < max(crawlAfter*p.on.RTT(), crawlTime) {
		return false
	}
	p.judged = true
	return left >= crawlWorth && p.waited > took*3/4 && p.on.moved.Load()-p.from < crawlBytes
}
