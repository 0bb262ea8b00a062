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

// Problem is an error as the wire has it.
type Problem struct {
	ID        string `json:"id"`
	Message   string `json:"message"`
	Detail    string `json:"detailed_error"`
	RequestID string `json:"request_id"`
	Status    int    `json:"status_code"`
}

// ProblemOf gives the wire form of an error. What a foreign error says stays here.
func ProblemOf(err error, requestID string) Problem {
	e := core.AsError(err)
	m, ok := meanings[e.Kind]
	if !ok {
		m = meanings[core.KindInternal]
	}
	p := Problem{ID: m.id, Message: m.message, RequestID: requestID, Status: m.status}
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

// problem gives the answer that tells of an error.
func (c *Call) problem(err error) Answer {
	p := ProblemOf(err, c.ID)
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusNotImplemented {
		level := slog.LevelWarn
		if p.Status == http.StatusServiceUnavailable {
			level = slog.LevelDebug // whatever is away says so once; its every client would fill the disk
		}
		c.Log().Log(c, level, "request failed", "method", c.Request.Method, "path", c.Request.URL.Path, "status", p.Status, "error", err)
	}
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusGatewayTimeout || p.Status == http.StatusTooManyRequests {
		c.Header().Set("Retry-After", retryAfterSeconds)
	}
	return Value(p.Status, p)
}

// BadParam refuses a body for one of its fields.
func BadParam(name string) *core.Error {
	return core.E(core.KindInvalid, "Invalid or missing %s in request body.", name)
}

// BadURL refuses a URL for a parameter in its path, or one that must be there.
func BadURL(name string) *core.Error {
	return core.E(core.KindInvalid, "Invalid or missing %s parameter in request URL.", name).WithID("api.context.invalid_url_param.app_error")
}

// BadQuery refuses a URL for a parameter of its query.
func BadQuery(name string) *core.Error {
	return core.E(core.KindInvalid, "Invalid %s parameter.", name).WithID("api.context.invalid_param.app_error")
}

// Forbidden refuses who asks.
func Forbidden() *core.Error { return core.E(core.KindForbidden, "") }

// NotBuilt says that this version does not have something.
func NotBuilt(what string) *core.Error {
	return core.E(core.KindNotBuilt, "This server does not have %s yet.", what)
}
