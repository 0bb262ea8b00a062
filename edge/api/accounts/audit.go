package accounts

import (
	"fmt"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
)

// wireAudit is an audit as clients receive it.
type wireAudit struct {
	ID        core.AuditID   `json:"id"`
	CreateAt  int64          `json:"create_at"`
	UserID    core.UserID    `json:"user_id"`
	Action    string         `json:"action"`
	ExtraInfo string         `json:"extra_info"`
	IPAddress string         `json:"ip_address"`
	SessionID core.SessionID `json:"session_id"`
}

func (s *Service) listAudits(c *api.Call, _ core.User) ([]wireAudit, error) {
	return s.audits(c, read.AuditFilter{}, c.Page())
}

// auditsOfUser answers the latest of a user; the operation has no pages.
func (s *Service) auditsOfUser(c *api.Call, id core.UserID) ([]wireAudit, error) {
	return s.audits(c, read.AuditFilter{UserID: id}, read.Page{Size: 100})
}

func (s *Service) audits(c *api.Call, f read.AuditFilter, p read.Page) ([]wireAudit, error) {
	list, err := s.Read.Audits(c, f, p)
	out := make([]wireAudit, len(list))
	for i, a := range list {
		extra := a.Object
		if a.Actor != "" {
			extra += " actor=" + a.Actor
		}
		if a.Result != "" {
			extra += " result=" + a.Result
		}
		if a.Times > 1 {
			extra += fmt.Sprintf(" times=%d", a.Times)
		}
		out[i] = wireAudit{a.ID(), a.CreateAt, a.UserID, a.Action, strings.TrimPrefix(extra, " "), a.Address, a.SessionID}
	}
	return out, err
}
