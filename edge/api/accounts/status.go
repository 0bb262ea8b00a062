package accounts

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
)

// Status is a user's presence.
type Status struct {
	UserID         core.UserID `json:"user_id"`
	Status         string      `json:"status"` // online, away, dnd or offline
	Manual         bool        `json:"manual"`
	LastActivityAt int64       `json:"last_activity_at"`
	DNDEndTime     int64       `json:"dnd_end_time"` // in seconds
}

func (s *Service) userStatus(_ *api.Call, id core.UserID) (Status, error) {
	return s.statuses([]core.UserID{id})[0], nil
}

func (s *Service) statusesByIDs(_ *api.Call, _ core.User, ids []core.UserID) ([]Status, error) {
	return s.statuses(ids), nil
}

// statuses returns one status for each user, offline if nothing is known.
func (s *Service) statuses(ids []core.UserID) []Status {
	known := make(map[core.UserID]Status, len(ids))
	for _, st := range s.cfg.Presence(ids) {
		known[st.UserID] = st
	}
	out := make([]Status, len(ids))
	for i, id := range ids {
		st, ok := known[id]
		if !ok {
			st = Status{UserID: id, Status: "offline"}
		}
		out[i] = st
	}
	return out
}
