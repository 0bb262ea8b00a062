package access

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/edge/api"
)

// SystemRole allows users whose system roles have one of the given permissions.
func SystemRole(any ...authz.Permission) api.Policy[core.User] {
	name := "system role with"
	for i, p := range any {
		if i > 0 {
			name += " or"
		}
		name += " " + string(p)
	}
	return api.Allow(name, func(c *api.Call) (core.User, error) {
		for _, p := range any {
			if May(c, p) {
				return c.User, nil
			}
		}
		return c.User, api.Forbidden
	})
}

// pathUser returns the path's user; "me" is the caller.
func pathUser(c *api.Call) (core.UserID, error) {
	if c.Param("user_id") == "me" {
		return c.User.ID, nil
	}
	return api.PathID[core.User](c, "user_id")
}

// AnyUserID allows every signed-in user to name any user in the path, even one that does not
// exist.
var AnyUserID = api.Allow("signed in, about any user_id", pathUser)

// HomeDecidesUser is api.HomeDecides for the path's user.
var HomeDecidesUser = api.Allow("home decides about user_id", pathUser)

// Oneself allows the path's user.
var Oneself = api.Allow("the user of user_id", func(c *api.Call) (core.UserID, error) {
	u, err := pathUser(c)
	if err == nil && !c.IsMe(u) {
		err = api.Forbidden
	}
	return u, err
})

// OneselfOrEditor allows the path's user, and users who may edit other users.
var OneselfOrEditor = api.Allow("the user of user_id, or system role with "+string(authz.EditOtherUsers), func(c *api.Call) (core.UserID, error) {
	u, err := pathUser(c)
	if err != nil || c.IsMe(u) {
		return u, err
	}
	return u, Need(c, authz.EditOtherUsers)
})

// PathUser allows every signed-in user, and returns the path's user.
func (a *Access) PathUser() api.Policy[core.User] {
	return api.Allow("signed in, about the user of user_id", a.userOfPath)
}

func (a *Access) userOfPath(c *api.Call) (core.User, error) {
	id, err := pathUser(c)
	if err != nil {
		return core.User{}, err
	}
	u, err := a.User(c, id)
	if err == nil && u.ID.IsZero() {
		err = NoUser
	}
	return u, err
}

// AnyUser allows users whose system roles have p, and returns the path's user.
func (a *Access) AnyUser(p authz.Permission) api.Policy[core.User] {
	return api.Allow("system role with "+string(p)+", about the user of user_id", func(c *api.Call) (core.User, error) {
		if err := Need(c, p); err != nil {
			return core.User{}, err
		}
		return a.userOfPath(c)
	})
}

// PathTeam allows users whose roles in the system or in the path's team have p.
func (a *Access) PathTeam(p authz.Permission) api.Policy[core.Team] {
	return api.Allow("role with "+string(p)+" in team_id", func(c *api.Call) (core.Team, error) {
		id, err := api.PathID[core.Team](c, "team_id")
		if err != nil {
			return core.Team{}, err
		}
		t, err := a.Team(c, id)
		if err == nil && t.ID.IsZero() {
			err = NoTeam
		}
		if err != nil {
			return t, err
		}
		return t, a.NeedInTeam(c, id, p)
	})
}

// PathChannel allows users who may read the path's channel. Its counters may be old.
func (a *Access) PathChannel() api.Policy[core.Channel] {
	return api.Allow("may read channel_id", func(c *api.Call) (core.Channel, error) {
		id, err := api.PathID[core.Channel](c, "channel_id")
		if err != nil {
			return core.Channel{}, err
		}
		return a.Readable(c, id)
	})
}

// PathPost allows users who may read the path's post, if it exists.
func (a *Access) PathPost() api.Policy[core.Post] {
	return api.Allow("may read post_id", a.PostOfPath)
}

// PostOfPath returns the path's post if it exists and the caller may read it.
func (a *Access) PostOfPath(c *api.Call) (core.Post, error) {
	id, err := api.PathID[core.Post](c, "post_id")
	if err != nil {
		return core.Post{}, err
	}
	return a.ReadablePost(c, id)
}
