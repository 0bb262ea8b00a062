package ws

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nearside/nearside/edge/rate"
)

// visitor is who opened a connection, as far as its request said: with a session, or a stranger.
type visitor struct{ rate.Caller }

func visitorOf(r *http.Request) visitor {
	c := rate.CallerOf(r.Context())
	c.Address = rate.Network(c.Address)
	return visitor{c}
}

// known reports whether the request had a session, so that the connection will soon be authenticated.
func (v visitor) known() int {
	if v.Account.IsZero() {
		return 0
	}
	return 1
}

// one is who may have PendingOne connections that are not authenticated: an account, or the strangers of
// an address.
func (v visitor) one() rate.Caller {
	if v.Account.IsZero() {
		return v.address()
	}
	return rate.Caller{Account: v.Account}
}

func (v visitor) address() rate.Caller { return rate.Caller{Address: v.Address} }

// census counts connections. Strangers who do not authenticate are counted apart from those who came with
// a session, and by address, so that idle upgrades of one address, or of many, stop nobody else.
type census struct {
	limits  Limits
	refused *prometheus.CounterVec // by limit

	pending    [2]int // of strangers; with a session
	pendingOne map[rate.Caller]int
	addresses  map[rate.Caller]int // all, by address alone
}

func newCensus(l Limits, reg prometheus.Registerer) census {
	return census{
		limits: l, pendingOne: map[rate.Caller]int{}, addresses: map[rate.Caller]int{},
		refused: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "nearside_ws_refusals_total", Help: "Upgrades to a WebSocket refused because of a limit of connections, by limit.",
		}, []string{"limit"}),
	}
}

// enter counts a connection that is not authenticated yet, unless there are too many.
func (c *census) enter(v visitor) bool {
	why := ""
	switch {
	case c.pending[v.known()] >= c.limits.Pending:
		why = "pending"
	case c.pendingOne[v.one()] >= c.limits.PendingOne:
		why = "pending_one"
	case c.addresses[v.address()] >= c.limits.PerAddress:
		why = "address"
	}
	if why != "" {
		c.refused.WithLabelValues(why).Inc()
		return false
	}
	c.pending[v.known()]++
	c.pendingOne[v.one()]++
	c.addresses[v.address()]++
	return true
}

// settle counts a connection as authenticated, or as one that never will be.
func (c *census) settle(v visitor) {
	c.pending[v.known()]--
	less(c.pendingOne, v.one())
}

// leave forgets a connection.
func (c *census) leave(v visitor) { less(c.addresses, v.address()) }

func less(m map[rate.Caller]int, k rate.Caller) {
	if m[k]--; m[k] == 0 {
		delete(m, k)
	}
}
