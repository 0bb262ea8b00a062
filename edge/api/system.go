package api

import (
	"strconv"

	"github.com/nearside/nearside/core/read"
)

func (a *API) ping(c *call) error {
	out := map[string]any{
		"status": "OK", "ActiveSearchBackend": "database", "AndroidLatestVersion": "", "AndroidMinVersion": "",
		"DesktopLatestVersion": "", "DesktopMinVersion": "", "IosLatestVersion": "", "IosMinVersion": "",
	}
	if c.flag("get_server_status") {
		out["database_status"], out["filestore_status"] = "OK", "OK"
		if err := a.cfg.Read.Ping(c.ctx); err != nil {
			out["status"], out["database_status"] = "UNHEALTHY", "UNHEALTHY"
		}
	}
	if c.query("device_id") != "" {
		out["CanReceiveNotifications"] = "unknown"
	}
	return c.ok(out)
}

// timezones answers with the names that clients offer. The rest of the database of time zones
// is theirs.
func (a *API) timezones(c *call) error { return c.ok(zones) }

// webPlugins answers with the plugins for the web client: none.
func (a *API) webPlugins(c *call) error { return c.ok([]int{}) }

func (a *API) serverLimits(c *call) error {
	n, err := a.cfg.Read.CountUsers(c.ctx, read.UserFilter{Active: true})
	if err != nil {
		return err
	}
	return c.ok(map[string]int64{"maxUsersLimit": 0, "activeUserCount": n, "maxUsersHardLimit": 0, "postHistoryLimit": 0, "lastAccessiblePostTime": 0})
}

func (a *API) clientLicense(c *call) error {
	if err := c.needOldFormat(); err != nil {
		return err
	}
	return c.ok(map[string]string{"IsLicensed": "false"})
}

func (a *API) clientConfig(c *call) error {
	if err := c.needOldFormat(); err != nil {
		return err
	}
	people, err := a.facts.hasPeople(c.ctx)
	if err != nil {
		return err
	}
	keys := a.settings.limited
	if !c.session.ID.IsZero() {
		keys = a.settings.full
	}
	out := make(map[string]string, len(keys)+1)
	for k, v := range keys {
		out[k] = v
	}
	out["NoAccounts"] = strconv.FormatBool(!people)
	return c.ok(out)
}

// needOldFormat refuses requests for a configuration in any form but the one there is.
func (c *call) needOldFormat() error {
	if c.query("format") != "old" {
		return badQuery("format")
	}
	return nil
}
