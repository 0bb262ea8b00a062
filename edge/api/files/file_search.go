package files

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
)

// Limits of a search.
const (
	maxTermsBytes = 4096
	maxZone       = 26 * 60 * 60 // seconds; no zone is that far from UTC
	maxSearches   = 4            // at once: searches are slow, and must not occupy the connections that other reads need
)

// fileQuestion is a search as clients send it.
type fileQuestion struct {
	Terms           string `json:"terms"`
	IsOrSearch      bool   `json:"is_or_search"`
	TimeZoneOffset  int    `json:"time_zone_offset"` // seconds east of UTC
	IncludeArchived bool   `json:"include_deleted_channels"`
	Page            *int   `json:"page"`
	PerPage         *int   `json:"per_page"`
}

// fileList is the result of a search, as clients receive it.
type fileList struct {
	Order                     []core.FileID             `json:"order"`
	FileInfos                 map[core.FileID]core.File `json:"file_infos"`
	NextFileInfoID            string                    `json:"next_file_info_id"`
	PrevFileInfoID            string                    `json:"prev_file_info_id"`
	FirstInaccessibleFileTime int64                     `json:"first_inaccessible_file_time"`
}

// What a search can be refused for.
var (
	badSearch = core.Refusal{Kind: core.KindInvalid, ID: "api.file.search_files.invalid_params.app_error"}
)

func newFileList(files []core.File) fileList {
	l := fileList{Order: make([]core.FileID, len(files)), FileInfos: make(map[core.FileID]core.File, len(files))}
	for i, f := range files {
		l.Order[i] = f.ID
		l.FileInfos[f.ID] = f
	}
	return l
}

func (s *Service) searchFiles(c *api.Call, _ core.User) (fileList, error) {
	return s.searchIn(c, core.TeamID{})
}

func (s *Service) searchFilesOfTeam(c *api.Call, t core.Team) (fileList, error) {
	return s.searchIn(c, t.ID)
}

func (s *Service) searchIn(c *api.Call, team core.TeamID) (fileList, error) {
	if s.cfg.Blobs == nil {
		return fileList{}, noFiles
	}
	in, err := questionOf(c)
	if err != nil {
		return fileList{}, err
	}
	t := parseTerms(in.Terms, in.TimeZoneOffset)
	if t.notOn {
		return fileList{}, badSearch
	}
	q := read.FileQuery{
		User: c.User.ID, Team: team, Terms: t.words, Excluded: t.excluded, Any: in.IsOrSearch, Ext: t.ext, NotExt: t.notExt,
		After: t.after, Before: t.before, IncludeArchived: in.IncludeArchived, Page: in.page(),
	}
	found, err := s.resolve(c, t, &q)
	if err != nil {
		return fileList{}, err
	}
	var files []core.File
	if found && !t.empty() {
		files, err = s.search(c, q)
	}
	c.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	return newFileList(files), err
}

// search waits for a free place.
func (s *Service) search(c *api.Call, q read.FileQuery) ([]core.File, error) {
	select {
	case s.searching <- struct{}{}:
		defer func() { <-s.searching }()
	case <-c.Context.Done():
		return nil, core.AsError(c.Context.Err())
	}
	return s.Read.SearchFiles(c, q)
}

// empty reports whether the search has no terms.
func (t *fileTerms) empty() bool {
	return len(t.words)+len(t.excluded)+len(t.from)+len(t.notFrom)+len(t.in)+len(t.notIn)+len(t.ext)+len(t.notExt) == 0 && t.after == 0 && t.before == 0
}

// questionOf reads a search from JSON, which clients send, or from a form, as the API's
// description says.
func questionOf(c *api.Call) (q fileQuestion, err error) {
	kind := c.Request.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "multipart/form-data") || strings.HasPrefix(kind, "application/x-www-form-urlencoded") {
		err = formOf(c, &q)
	} else {
		err = c.Decode(&q)
	}
	switch {
	case err != nil:
		return q, err
	case strings.TrimSpace(q.Terms) == "" || len(q.Terms) > maxTermsBytes:
		return q, api.BadParam("terms")
	case q.TimeZoneOffset < -maxZone || q.TimeZoneOffset > maxZone:
		return q, api.BadParam("time_zone_offset")
	}
	return q, nil
}

func formOf(c *api.Call, q *fileQuestion) error {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, api.MaxBodyBytes)
	err := c.Request.ParseMultipartForm(api.MaxBodyBytes)
	if errors.Is(err, http.ErrNotMultipart) {
		err = nil // a plain form; it has been parsed
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return api.BodyTooLarge.With("reason", "max", "max", api.MaxBodyBytes)
	case err != nil:
		return api.BadRequest.With("reason", "form").WithCause(err)
	}
	form := c.Request.PostForm
	for _, values := range form {
		if slices.ContainsFunc(values, func(s string) bool { return !api.Plain(s) }) {
			return api.BadRequest.With("reason", "form_text")
		}
	}
	q.Terms = form.Get("terms")
	q.IsOrSearch, _ = strconv.ParseBool(form.Get("is_or_search"))
	q.IncludeArchived, _ = strconv.ParseBool(form.Get("include_deleted_channels"))
	q.TimeZoneOffset, _ = strconv.Atoi(form.Get("time_zone_offset"))
	for name, to := range map[string]**int{"page": &q.Page, "per_page": &q.PerPage} {
		if n, err := strconv.Atoi(form.Get(name)); err == nil {
			*to = &n
		}
	}
	return nil
}

func (q *fileQuestion) page() read.Page {
	p := read.Page{Size: api.DefaultPerPage}
	if q.Page != nil && *q.Page > 0 {
		p.Number = min(*q.Page, api.MaxPage)
	}
	if q.PerPage != nil && *q.PerPage > 0 {
		p.Size = min(*q.PerPage, api.MaxPerPage)
	}
	return p
}

// resolve looks up the named users and channels; found is false if all users, or all channels, to
// which the search is restricted do not exist.
func (s *Service) resolve(c *api.Call, t fileTerms, q *read.FileQuery) (found bool, err error) {
	if q.From, err = s.people(c, t.from); err != nil {
		return false, err
	}
	if q.NotFrom, err = s.people(c, t.notFrom); err != nil {
		return false, err
	}
	if len(t.in)+len(t.notIn) > 0 {
		list, err := s.Read.ChannelsOf(c, read.ChannelFilter{User: c.User.ID, Team: q.Team, Deleted: q.IncludeArchived, Locale: c.User.Locale})
		if err != nil {
			return false, err
		}
		q.In, q.NotIn = named(list, t.in), named(list, t.notIn)
	}
	return len(q.From) >= min(1, len(t.from)) && len(q.In) >= min(1, len(t.in)), nil
}

func (s *Service) people(c *api.Call, names []string) (ids []core.UserID, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	if len(names) > read.MaxIDs {
		return nil, api.BadParam("terms")
	}
	users, err := s.Read.UsersByNames(c, names)
	for i := range users {
		ids = append(ids, users[i].ID)
	}
	return ids, err
}

// named returns the ids of the channels with one of the names or ids.
func named(list []core.Channel, names []string) (ids []core.ChannelID) {
	for i := range list {
		if slices.Contains(names, list[i].Name) || slices.Contains(names, list[i].ID.String()) {
			ids = append(ids, list[i].ID)
		}
	}
	return ids
}
