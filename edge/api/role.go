package api

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
)

const maxRoleNames = 100

// role is a role as the wire has it.
type role struct {
	ID            string             `json:"id"`
	Name          string             `json:"name"`
	DisplayName   string             `json:"display_name"`
	Description   string             `json:"description"`
	CreateAt      int64              `json:"create_at"`
	UpdateAt      int64              `json:"update_at"`
	DeleteAt      int64              `json:"delete_at"`
	Permissions   []authz.Permission `json:"permissions"`
	SchemeManaged bool               `json:"scheme_managed"`
	BuiltIn       bool               `json:"built_in"`
}

func wireRole(r *authz.Role) role {
	return role{
		ID: r.ID(), Name: r.Name, DisplayName: r.DisplayName, Description: "authentication.roles." + r.Name + ".description",
		Permissions: r.Permissions, SchemeManaged: r.Scheme, BuiltIn: true,
	}
}

func noRole() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the role.").WithID("app.role.get.app_error")
}

func (a *API) listRoles(c *call) error {
	if err := c.need(authz.ManageSystem); err != nil {
		return err
	}
	out := []role{}
	for _, r := range authz.All() {
		out = append(out, wireRole(r))
	}
	return c.ok(out)
}

func (a *API) getRole(c *call) error {
	if _, err := pathID[authz.Role](c, "role_id"); err != nil {
		return err
	}
	for _, r := range authz.All() {
		if r.ID() == c.param("role_id") {
			return c.ok(wireRole(r))
		}
	}
	return noRole()
}

func (a *API) roleByName(c *call) error {
	r, ok := authz.Lookup(c.param("role_name"))
	if !ok {
		return noRole()
	}
	return c.ok(wireRole(r))
}

func (a *API) rolesByNames(c *call) error {
	var names []string
	if err := c.decode(&names); err != nil {
		return err
	}
	if len(names) == 0 || len(names) > maxRoleNames {
		return badParam("rolenames")
	}
	out := []role{}
	for _, name := range names {
		if r, ok := authz.Lookup(name); ok {
			out = append(out, wireRole(r))
		}
	}
	return c.ok(out)
}
