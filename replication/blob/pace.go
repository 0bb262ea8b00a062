package blob

import "time"

const (
	crawlAfter = 6           // round trips; in this time a new connection moves twice crawlBytes
	crawlTime  = time.Second // at least this time
	crawlBytes = 512 << 10
	crawlWorth = 2 << 20     // bytes that must be left to make a new connection worthwhile
	crawlRest  = time.Minute // after a new connection that crawls too: then it is the link
)

// pace detects a transfer that crawls: one that is much slower than it would be on a new
// connection.
type pace struct {
	on     *carrier
	began  time.Time
	from   int64         // bytes moved before, by all transfers of the connection
	waited time.Duration // for the connection, not for the reader or writer of the bytes
	judged bool
}

func (l *lease) pace() pace { return pace{on: l.on, began: time.Now(), from: l.on.moved.Load()} }

// wait is called when the transfer begins to wait for its connection; over is called when that
// ends.
func (p *pace) wait() (over func()) {
	at := time.Now()
	return func() { p.waited += time.Since(at) }
}

// crawls returns true at most once, when it is time to judge: the connection has moved less than
// a new one would have by now, nothing else delayed the transfer, and enough is left.
func (p *pace) crawls(left int64) bool {
	took, trip := time.Since(p.began), max(p.on.RTT(), p.on.LastRTT()) // on a slow link its own queue makes them grow, and the mean lags behind
	if p.judged || p.on.RTT() < nearRTT || took < max(crawlAfter*trip, crawlTime) {
		return false
	}
	p.judged = true
	return left >= crawlWorth && p.waited > took*3/4 && p.on.moved.Load()-p.from < crawlBytes
}
