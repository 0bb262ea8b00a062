package api

import (
	"errors"
	"math"
	"runtime"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/turn"
	"github.com/nearside/nearside/edge/rate"
)

// How many requests may wait for those of the same account, or of the strangers at the same address.
const (
	waitingOfOne = 256
	waitingOfAll = 16_384 // accounts; and as many strangers
)

// What a request can be refused for that may not even wait.
var (
	ownRequests  = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.limit.app_error"}.With("reason", "requests")
	manyRequests = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.unavailable.app_error"}.With("reason", "requests")
)

// How many proposals of one account, or of the strangers at an address, this edge has under way: as many as make the
// rate of posts at an edge that is 300 ms from home. Who has spent more than half of a bucket has one.
const (
	proposalsOfOne = 8
	hastyProposals = 1
)

// tireAfter is how long an account may keep this edge at work without a break until it leaves half of the time to others.
const tireAfter = 500 * time.Millisecond

// queues has the turns of accounts, and of the strangers at an address.
type queues struct {
	work      *turn.Queue // answering
	proposals *turn.Queue
	hasty     *turn.Queue // proposals of those who have spent much
}

// newQueues makes them. An account has half of the processors at once, so that its requests wait for one another, and
// those of others hardly for them. It has as many connections of the database.
func newQueues() queues {
	of := func(n int, tireAfter time.Duration) *turn.Queue {
		return turn.New(turn.Config{Places: math.MaxInt, OfOne: n, Waiting: waitingOfAll, WaitOne: waitingOfOne, TireAfter: tireAfter})
	}
	return queues{work: of(workOfOne(), tireAfter), proposals: of(proposalsOfOne, 0), hasty: of(hastyProposals, tireAfter)}
}

// enter waits until the account may work on one more request. The place is for the work of this edge only:
// it is left before the request waits for home, and before its answer is sent.
func (c *Call) enter() error {
	if c.api.cfg.Limiter.Off() || c.target.flows || !ordinary(c.target.class) {
		return nil
	}
	if !c.reads() {
		_, _ = c.ReadBody() // a slow client does not keep a place; what is wrong with the body is said to whoever asks for it
	}
	leave, err := c.turnIn(c.api.queues.work)
	c.place = leave
	return err
}

func (c *Call) turnIn(q *turn.Queue) (leave func(), err error) {
	defer since(time.Now(), &c.Spent.Turn)
	leave, err = q.Enter(c, c.Who())
	switch {
	case errors.Is(err, turn.ErrMine):
		err = ownRequests
	case errors.Is(err, turn.ErrFull):
		err = manyRequests
	}
	return leave, err
}

// proposing waits until one more proposal of the account may be under way.
func (c *Call) proposing() (leave func(), err error) {
	c.leave()
	switch {
	case c.api.cfg.Limiter.Off():
		return func() {}, nil
	case c.purse.Remaining < c.purse.Limit/2:
		return c.turnIn(c.api.queues.hasty)
	}
	return c.turnIn(c.api.queues.proposals)
}

// leave gives the place back, if there is one.
func (c *Call) leave() {
	if c.place != nil {
		c.place()
		c.place = nil
	}
}

// ordinary says whether a class has no turns of its own: passwords, pictures and sockets do, and bodies that
// are files come as slowly as their clients send them.
func ordinary(class rate.Class) bool {
	return class == rate.Read || class == rate.Write || class == rate.Post || class == rate.Search
}

// workOfOne is how many requests of one account this edge works on at once.
func workOfOne() int { return min(4, max(1, runtime.GOMAXPROCS(0)/2)) }
