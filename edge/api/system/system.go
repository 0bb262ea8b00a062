// Package system is the API's area for the server itself: its version, its configuration, and its
// usage.
//
// It imports edge/api and edge/api/access, and no other area. A Service is safe for concurrent
// use.
package system

import (
	"context"
	"maps"
	"strconv"
	"sync/atomic"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
)

// Service answers the operations of the area.
type Service struct {
	*access.Access
	settings Settings
	peopled  atomic.Bool // an account exists
}

// New makes a Service.
func New(a *access.Access, settings Settings) *Service {
	s := &Service{Access: a, settings: settings}
	a.Local.OnReset(func() { s.peopled.Store(false) })
	return s
}

// Routes returns the operations of the area.
func (s *Service) Routes() []api.Route {
	return []api.Route{
		api.Get("/config/client", api.Anybody, s.clientConfig),
		api.Get("/license/client", api.Anybody, s.clientLicense),
		api.Get("/system/ping", api.Anybody, s.ping),
		api.Get("/system/timezones", api.SignedIn, s.timezones),
		api.Get("/plugins/webapp", api.Anybody, s.webPlugins),
		api.Get("/limits/server", api.SignedIn, s.serverLimits),
		api.Get("/usage/storage", api.SignedIn, s.storageUsage),
	}
}

func (s *Service) ping(c *api.Call, _ api.Nobody) (map[string]any, error) {
	out := map[string]any{
		"status": "OK", "ActiveSearchBackend": "database", "AndroidLatestVersion": "", "AndroidMinVersion": "",
		"DesktopLatestVersion": "", "DesktopMinVersion": "", "IosLatestVersion": "", "IosMinVersion": "",
	}
	if c.Flag("get_server_status") {
		out["database_status"], out["filestore_status"] = "OK", "OK"
		if err := s.Read.Ping(c); err != nil {
			out["status"], out["database_status"] = "UNHEALTHY", "UNHEALTHY"
		}
	}
	if c.Query("device_id") != "" {
		out["CanReceiveNotifications"] = "unknown"
	}
	return out, nil
}

// timezones answers with the names of time zones. Their rules are in the clients.
func (s *Service) timezones(*api.Call, core.User) ([]string, error) { return zones, nil }

// webPlugins answers with the plugins for the web client: none.
func (s *Service) webPlugins(*api.Call, api.Nobody) ([]int, error) { return nil, nil }

func (s *Service) serverLimits(c *api.Call, _ core.User) (map[string]int64, error) {
	n, err := s.Read.CountUsers(c, read.UserFilter{Active: true})
	return map[string]int64{"maxUsersLimit": 0, "activeUserCount": n, "maxUsersHardLimit": 0, "postHistoryLimit": 0, "lastAccessiblePostTime": 0}, err
}

func (s *Service) clientLicense(c *api.Call, _ api.Nobody) (map[string]string, error) {
	return map[string]string{"IsLicensed": "false"}, oldFormat(c)
}

func (s *Service) clientConfig(c *api.Call, _ api.Nobody) (map[string]string, error) {
	if err := oldFormat(c); err != nil {
		return nil, err
	}
	people, err := s.hasPeople(c)
	keys := s.settings.limited
	if !c.Session.ID.IsZero() {
		keys = s.settings.full
	}
	out := maps.Clone(keys)
	out["NoAccounts"] = strconv.FormatBool(!people)
	return out, err
}

// oldFormat refuses requests for any other format of the configuration than the only one.
func oldFormat(c *api.Call) error {
	if c.Query("format") != "old" {
		return api.BadQuery("format")
	}
	return nil
}

// hasPeople reports whether an account exists. Once true, it stays true.
func (s *Service) hasPeople(ctx context.Context) (bool, error) {
	if s.peopled.Load() {
		return true, nil
	}
	users, err := s.Read.Users(ctx, read.UserFilter{}, read.Page{Size: 1})
	if err == nil && len(users) > 0 {
		s.peopled.Store(true)
	}
	return len(users) > 0, err
}

// storageUsage answers with the bytes of all files, rounded to the first digit.
func (s *Service) storageUsage(c *api.Call, _ core.User) (map[string]int64, error) {
	n, err := s.Read.StorageUsed(c)
	return map[string]int64{"bytes": roughly(n)}, err
}

// roughly rounds down to the first digit.
func roughly(n int64) int64 {
	unit := int64(1)
	for n/unit >= 10 {
		unit *= 10
	}
	return n / unit * unit
}
