package api

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/catalogue"
)

// meaning is a Kind's status and text, if the Error has none of its own.
type meaning struct {
	status int
	id     string
}

// meanings is the only mapping from kinds to statuses. 401 makes clients sign out, so it is used
// only for a missing session.
var meanings = map[core.Kind]meaning{
	core.KindInternal:     {500, "api.nearside.internal.app_error"},
	core.KindInvalid:      {400, "api.context.invalid_body_param.app_error"},
	core.KindUnauthorized: {401, "api.context.session_expired.app_error"},
	core.KindForbidden:    {403, "api.context.permissions.app_error"},
	core.KindNotFound:     {404, "api.context.404.app_error"},
	core.KindConflict:     {409, "api.nearside.conflict.app_error"},
	core.KindTooLarge:     {413, "api.context.request_body_too_large.app_error"},
	core.KindLimit:        {429, "api.nearside.limit.app_error"},
	core.KindUnavailable:  {503, "api.nearside.unavailable.app_error"},
	core.KindNotBuilt:     {501, "api.nearside.not_built.app_error"},
	core.KindTimeout:      {504, "api.nearside.timeout.app_error"},
	core.KindUpgrade:      {503, "api.nearside.upgrade.app_error"},
	core.KindCanceled:     {499, "api.nearside.canceled.app_error"},
	core.KindDiverged:     {503, "api.nearside.diverged.app_error"},
	core.KindURITooLong:   {414, "basic_security_check.url.too_long_error"},
	core.KindMisdirected:  {421, "api.nearside.misdirected.app_error"},
}

// retryAfterSeconds is when a refused client should try again.
const retryAfterSeconds = "2"

// Problem is an error as clients receive it.
type Problem struct {
	ID        string `json:"id"`
	Message   string `json:"message"`
	Detail    string `json:"detailed_error"`
	RequestID string `json:"request_id"`
	Status    int    `json:"status_code"`
}

// statuses has the errors whose status differs from that of their Kind.
var statuses = map[string]int{
	"app.upload.upload_data.concurrent.app_error": http.StatusBadRequest,
	"api.nearside.upload_slow.app_error":          http.StatusRequestTimeout,
}

// ProblemOf returns the wire form of an error, in the reader's language. The message of a foreign
// error is not shown.
func (c *Call) ProblemOf(err error) Problem { return problemOf(err, c.language(), c.ID) }

func problemOf(err error, lang catalogue.Language, requestID string) Problem {
	e := core.AsError(err)
	m, ok := meanings[e.Kind]
	if !ok {
		m = meanings[core.KindInternal]
	}
	p := Problem{ID: m.id, RequestID: requestID, Status: m.status}
	if e.ID != "" {
		p.ID = e.ID
	}
	p.Message = lang.Text(p.ID, e.Args)
	if p.Message == "" { // the id is from a newer version
		p.Message = lang.Text(m.id, nil)
	}
	if status, ok := statuses[p.ID]; ok {
		p.Status = status
	}
	return p
}

// language is the user's language, or, without a session, the client's.
func (c *Call) language() catalogue.Language {
	return catalogue.For(c.User.Locale, c.Request.Header.Get("Accept-Language"))
}

// problem returns the answer for an error.
func (c *Call) problem(err error) Answer {
	p := c.ProblemOf(err)
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusNotImplemented {
		level := slog.LevelWarn
		if p.Status == http.StatusServiceUnavailable {
			level = slog.LevelDebug // an unavailable part logs it once; a record for each client would fill the disk
		}
		c.Log().Log(c, level, "request failed", "method", c.Request.Method, "path", c.Request.URL.Path, "status", p.Status, "error", err)
	}
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusGatewayTimeout || p.Status == http.StatusTooManyRequests {
		c.Header().Set("Retry-After", retryAfterSeconds)
	}
	if !c.purse.Allowed && c.limited {
		c.Header().Set("Retry-After", strconv.Itoa(seconds(c.purse.Wait)))
	}
	return Value(p.Status, p)
}

// What any operation can be refused for.
var (
	BadRequest   = core.Refusal{Kind: core.KindInvalid, ID: "api.context.invalid_body_param.app_error"}
	Forbidden    = core.Refusal{Kind: core.KindForbidden, ID: "api.context.permissions.app_error"}
	BodyTooLarge = core.Refusal{Kind: core.KindTooLarge, ID: "api.context.request_body_too_large.app_error"}
	badURL       = core.Refusal{Kind: core.KindInvalid, ID: "api.context.invalid_url_param.app_error"}
	badQuery     = core.Refusal{Kind: core.KindInvalid, ID: "api.context.invalid_param.app_error"}
	NotBuilt     = core.Refusal{Kind: core.KindNotBuilt, ID: "api.nearside.not_built.app_error"}
	noPage       = core.Refusal{Kind: core.KindNotFound, ID: "api.context.404.app_error"}
	tooFast      = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.limit.app_error"}
	noToken      = core.Refusal{Kind: core.KindUnauthorized, ID: "api.context.token_provided.app_error"}
)

// NoPermanentDeletion refuses to delete something so that nobody can bring it back.
var NoPermanentDeletion = NotBuilt.With("reason", "permanent_deletion")

// BadParam refuses a body because of one of its fields.
func BadParam(name string) *core.Error { return BadRequest.With("reason", "param", "name", name) }

// BadURL refuses a URL because of a parameter in its path, or a required one.
func BadURL(name string) *core.Error { return badURL.With("name", name) }

// BadQuery refuses a URL because of a parameter of its query.
func BadQuery(name string) *core.Error { return badQuery.With("name", name) }
