package accounts

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
)

type typing struct {
	ChannelID core.ChannelID `json:"channel_id"`
	ParentID  core.PostID    `json:"parent_id"`
}

func (s *Service) publishTyping(c *api.Call, user core.UserID, in typing) (api.Done, error) {
	if err := s.MayPost(c, user, in.ChannelID); err != nil {
		return api.Done{}, err
	}
	s.cfg.Typing(user, in.ChannelID, in.ParentID)
	return api.Done{}, nil
}
