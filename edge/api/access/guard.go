package access

import (
	"context"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/guard"
	"github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/edge/api"
)

// Guard counts and checks, at home, what could be guessed.
type Guard interface {
	Verify(ctx context.Context, q guard.Question) (guard.Answer, error)
}

var tooManyInvites = core.Refusal{Kind: core.KindLimit, ID: "nearside.invitation.too_many.app_error"}

// Verify asks home whether a secret is right, and waits until this edge has what home decided on. Too
// many questions at once are refused.
func (a *Access) Verify(c *api.Call, q guard.Question) (guard.Answer, error) {
	q.Address = c.Address.String()
	answer, err := a.guard.Verify(c, q)
	if err != nil {
		return answer, err
	}
	if answer.Verdict == guard.Busy {
		return answer, password.Busy
	}
	if answer.Index > 0 {
		c.Follow(answer.Index)
	}
	return answer, nil
}

// Invitation returns the team that an invite id invites to. Home counts the question before it looks: a guess at one
// invitation is a guess at all.
func (a *Access) Invitation(c *api.Call, invite string) (core.Team, error) {
	if invite == "" || len(invite) > core.MaxInviteID {
		return core.Team{}, NoInvite
	}
	answer, err := a.Verify(c, guard.Question{ID: core.NewID[core.Attempt](time.Now()), Kind: core.AttemptInvitation, Secret: invite})
	switch {
	case err != nil:
		return core.Team{}, err
	case answer.Verdict == guard.Locked:
		return core.Team{}, tooManyInvites
	case answer.Verdict != guard.Right:
		return core.Team{}, NoInvite
	}
	return api.ReadBack(c, a.Read.Team, answer.TeamID)
}
