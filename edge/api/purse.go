package api

import (
	"math"
	"strconv"
	"time"

	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/turn"
	"github.com/nearside/nearside/edge/rate"
)

// caller says whose tokens the request spends.
func (c *Call) caller() rate.Caller { return rate.Caller{Account: c.User.ID, Address: c.Address} }

// pay takes the token that the operation costs, or refuses.
func (c *Call) pay() error {
	who, class := c.caller(), c.target.class
	if c.target.login != nil {
		who.Login = c.target.login(c)
	}
	if class == rate.SignUp && authz.IsSystemAdmin(c.User.Roles) { // an administrator makes accounts for others
		class = rate.Write
	}
	c.purse, c.limited = c.api.cfg.Limiter.Take(class, who)
	if !c.User.ID.IsZero() {
		c.api.cfg.Limiter.Know(who, c.User.Username, c.User.Email, c.User.ID.String())
	}
	if c.purse.Allowed {
		return nil
	}
	c.api.cfg.Limiter.Hold(c, c.purse)
	return tooFast.With("reason", "rate", "seconds", seconds(c.purse.Wait))
}

// Who says whose turn it is when the caller must wait for something scarce.
func (c *Call) Who() turn.Who {
	if !c.User.ID.IsZero() {
		return turn.Who{Name: "account " + c.User.ID.String(), Known: true}
	}
	return turn.Who{Name: "address " + rate.Network(c.Address).String()}
}

// payFor takes the bytes of an answer.
func (c *Call) payFor(bytes int) { c.api.cfg.Limiter.Spend(c.caller(), bytes) }

// tellPurse sends how the caller's tokens stand.
func (c *Call) tellPurse() {
	if !c.limited {
		return
	}
	h := c.Header()
	h["X-Ratelimit-Limit"] = []string{strconv.Itoa(c.purse.Limit)}
	h["X-Ratelimit-Remaining"] = []string{strconv.Itoa(c.purse.Remaining)}
	h["X-Ratelimit-Reset"] = []string{strconv.Itoa(seconds(c.purse.Reset))}
}

// seconds rounds up.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
