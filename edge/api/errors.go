package api

import (
	"log/slog"
	"net/http"

	"github.com/nearside/nearside/core"
)

// meaning is what a Kind says on the wire when the Error does not say more.
type meaning struct {
	status      int
	id, message string
}

// meanings is the one place where kinds become statuses. 401 makes clients sign out, so only a
// missing session is 401.
var meanings = map[core.Kind]meaning{
	core.KindInternal:     {500, "api.nearside.internal.app_error", "Something went wrong on the server."},
	core.KindInvalid:      {400, "api.context.invalid_body_param.app_error", "The request is not valid."},
	core.KindUnauthorized: {401, "api.context.session_expired.app_error", "Invalid or expired session, please login again."},
	core.KindForbidden:    {403, "api.context.permissions.app_error", "You do not have the appropriate permissions."},
	core.KindNotFound:     {404, "api.context.404.app_error", "Sorry, we could not find that."},
	core.KindConflict:     {409, "api.nearside.conflict.app_error", "It exists already, or was changed meanwhile."},
	core.KindTooLarge:     {413, "api.context.request_body_too_large.app_error", "The request is too large."},
	core.KindLimit:        {429, "api.nearside.limit.app_error", "That is over a limit. Try again later."},
	core.KindUnavailable:  {503, "api.nearside.unavailable.app_error", "This edge cannot reach the home region at the moment. Nothing was changed; try again in a few seconds."},
	core.KindNotBuilt:     {501, "api.nearside.not_built.app_error", "This server does not have this operation yet."},
	core.KindTimeout:      {504, "api.nearside.timeout.app_error", "The home region did not answer in time. The change may have been made; trying again is harmless."},
	core.KindUpgrade:      {503, "api.nearside.upgrade.app_error", "This node is too old for what the deployment runs."},
	core.KindCanceled:     {499, "api.nearside.canceled.app_error", "The request was given up."},
	core.KindDiverged:     {503, "api.nearside.diverged.app_error", "This edge is rebuilding its copy of the data. Try again later."},
	core.KindURITooLong:   {414, "basic_security_check.url.too_long_error", "The URL is too long."},
	core.KindMisdirected:  {421, "api.nearside.misdirected.app_error", "This node does not answer that."},
}

// retryAfterSeconds is when a client that was turned away should come back.
const retryAfterSeconds = "2"

// problem is an error as the wire has it.
type problem struct {
	ID        string `json:"id"`
	Message   string `json:"message"`
	Detail    string `json:"detailed_error"`
	RequestID string `json:"request_id"`
	Status    int    `json:"status_code"`
}

// problemOf gives the wire form of an error. What a foreign error says stays here.
func problemOf(err error, requestID string) problem {
	e := core.AsError(err)
	m, ok := meanings[e.Kind]
	if !ok {
		m = meanings[core.KindInternal]
	}
	p := problem{ID: m.id, Message: m.message, RequestID: requestID, Status: m.status}
	if e.ID != "" {
		p.ID = e.ID
	}
	if e.Message != "" {
		p.Message = e.Message
	}
	if e.Status != 0 {
		p.Status = e.Status
	}
	return p
}

// answerProblem turns the answer into an error.
func (c *call) answerProblem(err error) {
	p := problemOf(err, c.id)
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusNotImplemented {
		level := slog.LevelWarn
		if p.Status == http.StatusServiceUnavailable {
			level = slog.LevelDebug // whatever is away says so once; its every client would fill the disk
		}
		c.api.log.Log(c.ctx, level, "request failed", "method", c.r.Method, "path", c.r.URL.Path, "status", p.Status, "request", c.id, "error", err)
	}
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusGatewayTimeout || p.Status == http.StatusTooManyRequests {
		c.header().Set("Retry-After", retryAfterSeconds)
	}
	c.status, c.page = p.Status, nil
	c.body = mustJSON(p)
}

// The refusals that handlers give themselves.

func badParam(name string) *core.Error {
	return core.E(core.KindInvalid, "Invalid or missing %s in request body.", name)
}

func badURL(name string) *core.Error {
	return core.E(core.KindInvalid, "Invalid or missing %s parameter in request URL.", name).WithID("api.context.invalid_url_param.app_error")
}

func badQuery(name string) *core.Error {
	return core.E(core.KindInvalid, "Invalid %s parameter.", name).WithID("api.context.invalid_param.app_error")
}

func forbidden() *core.Error { return core.E(core.KindForbidden, "") }

func noUser() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the user.").WithID("app.user.missing_account.const")
}

func noTeam() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the team.").WithID("app.team.get.find.app_error")
}

func noTeamMember() *core.Error {
	return core.E(core.KindNotFound, "No team member found for that user and team.").WithID("app.team.get_member.missing.app_error")
}

func noChannel() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the channel.").WithID("app.channel.get.existing.app_error")
}

func noChannelMember() *core.Error {
	return core.E(core.KindNotFound, "No channel member found for that user and channel.").WithID("app.channel.get_member.missing.app_error")
}

func noPost() *core.Error {
	return core.E(core.KindNotFound, "Unable to get the post.").WithID("app.post.get.app_error")
}

func notBuilt(what string) *core.Error {
	return core.E(core.KindNotBuilt, "This server does not have %s yet.", what)
}

func errUnknown() *core.Error { return core.E(core.KindNotFound, "Sorry, we could not find the page.") }
