package blob

import "time"

const (
	crawlAfter = 6           // round trips; in this time a new connection moves twice crawlBytes
	crawlTime  = time.Second // at least this time
	crawlBytes = 512 << 10   // in that time; in more of it, more
	crawlWorth = 2 << 20     // bytes that must be left to make a new connection worthwhile
	crawlRest  = time.Minute // after a new connection that crawls too: then it is the link
)

// pace detects a transfer that crawls: one that is much slower than it would be on a new
// connection.
type pace struct {
	on       *carrier
	began    time.Time
	from     int64         // bytes moved before, by all transfers of the connection
	waited   time.Duration // for the connection, not for the reader or writer of the bytes
	trip     time.Duration // the last round trip
	measured time.Time     // when it was; a connection that mostly receives measures now and then
	shortest time.Duration // round trip of this transfer; 0 before the first
	judged   bool
}

func (l *lease) pace() pace {
	return pace{on: l.on, began: time.Now(), from: l.on.moved.Load(), trip: l.on.LastRTT()}
}

// answered is called when the peer has just answered, so that the last round trip is one of this transfer.
func (p *pace) answered() { p.measured, p.shortest = time.Now(), p.trip }

// wait is called when the transfer begins to wait for its connection; over is called when that
// ends.
func (p *pace) wait() (over func()) {
	at := time.Now()
	return func() { p.waited += time.Since(at) }
}

// crawls returns true at most once, when it is time to judge: the connection has moved less than
// a new one would have by now, nothing else delayed the transfer, and enough is left. If round trips
// have grown, the transfer fills a queue: then the link is slow, and a new connection would be too. An
// old measurement does not show that, so it waits for a new one.
func (p *pace) crawls(left int64) bool {
	if p.judged {
		return false
	}
	p.measure()
	took, trip := time.Since(p.began), max(p.on.RTT(), p.trip) // on a slow link the mean lags behind
	due := max(crawlAfter*trip, crawlTime)
	if p.on.RTT() < nearRTT || took < due || time.Since(p.measured) > 2*trip {
		return false
	}
	p.judged = true
	queued := p.trip > p.shortest*5/4
	fair := int64(crawlBytes * took.Seconds() / due.Seconds())
	return left >= crawlWorth && p.waited > took*3/4 && !queued && p.on.moved.Load()-p.from < fair
}

func (p *pace) measure() {
	last := p.on.LastRTT()
	if last == p.trip {
		return
	}
	p.trip, p.measured = last, time.Now()
	if p.shortest == 0 || last < p.shortest {
		p.shortest = last
	}
}
