package accounts

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/edge/api"
)

const maxRoleNames = 100

// role is a role as clients receive it.
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

var noRole = core.Refusal{Kind: core.KindNotFound, ID: "app.role.get.app_error"}

func (s *Service) listRoles(*api.Call, core.User) (out []role, err error) {
	for _, r := range authz.All() {
		out = append(out, wireRole(r))
	}
	return out, nil
}

func (s *Service) getRole(c *api.Call, _ core.User) (role, error) {
	if _, err := api.PathID[authz.Role](c, "role_id"); err != nil {
		return role{}, err
	}
	for _, r := range authz.All() {
		if r.ID() == c.Param("role_id") {
			return wireRole(r), nil
		}
	}
	return role{}, noRole
}

func (s *Service) roleByName(c *api.Call, _ core.User) (role, error) {
	r, ok := authz.Lookup(c.Param("role_name"))
	if !ok {
		return role{}, noRole
	}
	return wireRole(r), nil
}

func (s *Service) rolesByNames(_ *api.Call, _ core.User, names []string) (out []role, err error) {
	if len(names) == 0 || len(names) > maxRoleNames {
		return nil, api.BadParam("rolenames")
	}
	for _, name := range names {
		if r, ok := authz.Lookup(name); ok {
			out = append(out, wireRole(r))
		}
	}
	return out, nil
}
