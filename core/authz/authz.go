// Package authz decides permissions from roles. It is pure: it has no state and cannot fail.
// core/apply uses it to enforce permissions. The edge uses it to refuse early and to filter reads.
package authz

import (
	"slices"
	"strings"

	"github.com/nearside/nearside/core"
)

// Permission is the name of something that a role may allow. The names are the API's.
type Permission string

// In gives what is needed for a permission in a channel: in one that is not open, "private" stands for "public" in its
// name.
func (p Permission) In(ch core.Channel) Permission {
	if ch.Type == core.ChannelOpen {
		return p
	}
	return Permission(strings.Replace(string(p), "_public_", "_private_", 1))
}

// Role is a named set of permissions.
type Role struct {
	Name        string
	DisplayName string
	Permissions []Permission // sorted
	Scheme      bool         // scheme_managed: granted by membership rather than by name
	set         map[Permission]bool
}

// ID is the role's id, the same in every deployment.
func (r *Role) ID() string { return core.DeriveID[Role]("role", r.Name).String() }

// Lookup gives a built-in role.
func Lookup(name string) (*Role, bool) {
	r, ok := builtin[name]
	return r, ok
}

// All gives the built-in roles by name.
func All() []*Role {
	out := make([]*Role, 0, len(builtin))
	for _, r := range builtin {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *Role) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Allows reports whether any role in the given space-separated role strings allows p. Unknown
// roles allow nothing.
func Allows(p Permission, roles ...string) bool {
	for _, list := range roles {
		for list != "" {
			var name string
			name, list, _ = strings.Cut(list, " ")
			if r := builtin[name]; r != nil && r.set[p] {
				return true
			}
		}
	}
	return false
}

// IsSystemAdmin reports whether a user's roles name the administrator's.
func IsSystemAdmin(roles string) bool {
	return slices.Contains(strings.Fields(roles), SystemAdmin)
}
