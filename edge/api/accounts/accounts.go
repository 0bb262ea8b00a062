// Package accounts is the API's area for users: their accounts, sessions, preferences, roles and
// presence.
//
// It imports edge/api and edge/api/access, and no other area. A Service is safe for concurrent
// use; New starts nothing and subscribes to nothing.
package accounts

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/rate"
	"github.com/nearside/nearside/edge/strength"
)

// Config configures a Service. The zero value of each optional field means its documented default.
type Config struct {
	Access     *access.Access   // required
	OpenServer bool             // anybody may sign up
	Passwords  strength.Rules   // for new passwords
	Typing     Typing           // called when a user is typing; default: nothing
	Presence   Presence         // returns users' statuses; default: everybody is offline
	Hasher     *password.Hasher // hashes new passwords; default: one of its own
}

// Typing is called when a user is typing in a channel, or in a thread if parent is not zero.
type Typing func(user core.UserID, channel core.ChannelID, parent core.PostID)

// Presence returns the statuses of users, in any order; it leaves out users of whom nothing is
// known.
type Presence func(ids []core.UserID) []Status

// Service answers the operations of the area.
type Service struct {
	*access.Access
	cfg Config
}

// New makes a Service.
func New(cfg Config) *Service {
	if cfg.Typing == nil {
		cfg.Typing = func(core.UserID, core.ChannelID, core.PostID) {}
	}
	if cfg.Presence == nil {
		cfg.Presence = func([]core.UserID) []Status { return nil }
	}
	if cfg.Hasher == nil {
		cfg.Hasher = password.NewHasher(0, 0)
	}
	return &Service{Access: cfg.Access, cfg: cfg}
}

// Routes returns the operations of the area.
func (s *Service) Routes() []api.Route {
	return []api.Route{
		api.Post("/users", api.Anybody, api.Body(s.createUser)).Created().Counts(rate.SignUp),
		api.Get("/users", api.SignedIn, s.listUsers),
		api.SignsIn(api.Post("/users/login", api.Anybody, api.Body(s.login)), loginBody.name),
		api.Post("/users/login/type", api.Anybody, api.Body(s.loginType)).Counts(rate.Read),
		api.Post("/users/logout", api.Anybody, s.logout),
		api.Post("/users/ids", api.SignedIn, api.IDs("user_ids", s.usersByIDs)).Counts(rate.Read),
		api.Post("/users/usernames", api.SignedIn, api.Body(s.usersByNames)).Counts(rate.Read),
		api.Post("/users/search", api.SignedIn, api.Body(s.searchUsers)).Counts(rate.Search),
		api.Get("/users/autocomplete", api.SignedIn, s.autocompleteUsers).Counts(rate.Search),
		api.Get("/users/stats", api.SignedIn, s.userStats),
		api.Get("/users/{user_id}", s.PathUser(), s.getUser),
		api.Put("/users/{user_id}/patch", access.HomeDecidesUser, api.Body(s.patchUser)),
		api.Post("/users/{user_id}/email/verify/member", s.AnyUser(authz.ManageSystem), s.verifyEmail),
		api.Get("/users/username/{username}", api.SignedIn, s.userByName),
		api.Get("/users/email/{email}", api.SignedIn, s.userByEmail),

		api.Get("/users/{user_id}/sessions", access.OneselfOrEditor, s.listSessions),
		api.Post("/users/{user_id}/typing", access.Oneself, api.Body(s.publishTyping)),
		api.Get("/users/{user_id}/status", access.AnyUserID, s.userStatus),
		api.Post("/users/status/ids", api.SignedIn, api.IDs("user_ids", s.statusesByIDs)).Counts(rate.Read),

		api.Get("/users/{user_id}/preferences", access.OneselfOrEditor, s.listPreferences),
		api.Put("/users/{user_id}/preferences", access.Oneself, api.Body(s.setPreferences)),
		api.Post("/users/{user_id}/preferences/delete", access.Oneself, api.Body(s.deletePreferences)),
		api.Get("/users/{user_id}/preferences/{category}", access.OneselfOrEditor, s.preferencesOfCategory),
		api.Get("/users/{user_id}/preferences/{category}/name/{preference_name}", access.OneselfOrEditor, s.getPreference),

		api.Get("/users/{user_id}/audits", access.OneselfOrEditor, s.auditsOfUser),
		api.Get("/audits", access.SystemRole(authz.ManageSystem), s.listAudits),

		api.Get("/roles", access.SystemRole(authz.ManageSystem), s.listRoles),
		api.Get("/roles/{role_id}", api.SignedIn, s.getRole),
		api.Get("/roles/name/{role_name}", api.SignedIn, s.roleByName),
		api.Post("/roles/names", api.SignedIn, api.Body(s.rolesByNames)).Counts(rate.Read).Trusted(),
	}
}
