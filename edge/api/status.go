package api

import "github.com/nearside/nearside/core"

func (a *API) userStatus(c *call) error {
	id, err := c.userID()
	if err != nil {
		return err
	}
	return c.ok(a.statuses([]core.UserID{id})[0])
}

func (a *API) statusesByIDs(c *call) error {
	ids, err := bodyIDs[core.User](c, "user_ids")
	if err != nil {
		return err
	}
	return c.ok(a.statuses(ids))
}

// statuses gives one status for each user, offline for those of whom nothing is known.
func (a *API) statuses(ids []core.UserID) []Status {
	known := make(map[core.UserID]Status, len(ids))
	for _, s := range a.cfg.Presence(ids) {
		known[s.UserID] = s
	}
	out := make([]Status, len(ids))
	for i, id := range ids {
		s, ok := known[id]
		if !ok {
			s = Status{UserID: id, Status: "offline"}
		}
		out[i] = s
	}
	return out
}
