package read

import (
	"context"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
)

// FileQuery says which files a search finds. Zero fields do not filter. A term of several words
// means these words in a row; one that ends in * any word that begins so. Names are found by
// the beginnings of their words in any case.
type FileQuery struct {
	User            core.UserID // only files of channels that this user is a member of
	Team            core.TeamID // and of the team's channels, or of none
	Terms, Excluded []string
	Any             bool // one of the terms is enough
	From, NotFrom   []core.UserID
	In, NotIn       []core.ChannelID
	Ext, NotExt     []string // without dots
	After, Before   int64    // created at the first time or later, and before the second, in milliseconds
	IncludeArchived bool     // files of archived channels too
	Page            Page
}

const (
	maxTerms     = 100
	maxTermBytes = 1000
)

// The words of a name and of a text, said exactly as their indexes do.
const (
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	nameWords   = `to_tsvector('simple', translate(t.name, '!"#$%&''()*+,-./:;<=>?@[\]^_` + "`" + `{|}~', '                                '))`
	textWords   = `to_tsvector('simple', translate(x.text, '!"#$%&''()*+,-./:;<=>?@[\]^_` + "`" + `{|}~', '                                '))`
)

// SearchFiles gives a page of the files of posts that a query finds, the newest first.
func (s *Store) SearchFiles(ctx context.Context, q FileQuery) ([]core.File, error) {
	if !bounded(q.Terms) || !bounded(q.Excluded) {
		return nil, core.E(core.KindInvalid, "Search for fewer or shorter words.")
	}
	a := newArgs(nil)
	conds := append(q.scope(a), q.filters(a)...)
	words, found := q.words(a)
	if !found {
		return []core.File{}, nil
	}
	conds = append(conds, words...)
	return many(ctx, s.db, pg.Files, `FROM files t JOIN channels c ON c.id = t.channel_id WHERE `+strings.Join(conds, " AND ")+
		` ORDER BY t.create_at DESC, t.id DESC LIMIT `+a.add(q.Page.Size)+` OFFSET `+a.add(q.Page.offset()), a.values...)
}

// bounded: no more and no longer terms than PostgreSQL takes, and than anybody means.
func bounded(terms []string) bool {
	for _, t := range terms {
		if len(t) > maxTermBytes {
			return false
		}
	}
	return len(terms) <= maxTerms
}

// scope keeps a search to what the user may see.
func (q *FileQuery) scope(a *args) []string {
	conds := []string{live, `EXISTS (SELECT FROM channel_members m WHERE m.channel_id = t.channel_id AND m.user_id = ` + a.add([16]byte(q.User)) + `)`}
	if !q.Team.IsZero() {
		conds = append(conds, `c.team_id IN (`+a.add([16]byte(q.Team))+`, `+none+`)`)
	}
	if !q.IncludeArchived {
		conds = append(conds, `c.delete_at = 0`)
	}
	return conds
}

func (q *FileQuery) filters(a *args) (conds []string) {
	list := func(column, op string, n int, values any) {
		if n > 0 {
			conds = append(conds, `t.`+column+` `+op+` (`+a.add(values)+`)`)
		}
	}
	list("user_id", "= ANY", len(q.From), raw(q.From))
	list("user_id", "<> ALL", len(q.NotFrom), raw(q.NotFrom))
	list("channel_id", "= ANY", len(q.In), raw(q.In))
	list("channel_id", "<> ALL", len(q.NotIn), raw(q.NotIn))
	list("extension", "= ANY", len(q.Ext), lowered(q.Ext))
	list("extension", "<> ALL", len(q.NotExt), lowered(q.NotExt))
	if q.After != 0 {
		conds = append(conds, `t.create_at >= `+a.add(q.After))
	}
	if q.Before != 0 {
		conds = append(conds, `t.create_at < `+a.add(q.Before))
	}
	return conds
}

func lowered(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(strings.TrimPrefix(s, "."))
	}
	return out
}

// words gives the conditions for terms; found is false when no file can have any of them.
func (q *FileQuery) words(a *args) (conds []string, found bool) {
	join := " & "
	if q.Any {
		join = " | "
	}
	inName, inText := terms(q.Terms, join)
	switch {
	case inName != "":
		conds = append(conds, `t.id IN (SELECT t.id FROM files t WHERE `+live+` AND `+nameWords+` @@ to_tsquery('simple', `+a.add(inName)+`)
			UNION SELECT x.file_id FROM file_texts x WHERE `+textWords+` @@ to_tsquery('simple', `+a.add(inText)+`))`)
	case len(q.Terms) > 0:
		return nil, false
	}
	if inName, inText = terms(q.Excluded, " | "); inName != "" {
		conds = append(conds, `NOT `+nameWords+` @@ to_tsquery('simple', `+a.add(inName)+`)`,
			`NOT EXISTS (SELECT FROM file_texts x WHERE x.file_id = t.id AND `+textWords+` @@ to_tsquery('simple', `+a.add(inText)+`))`)
	}
	return conds, true
}

// terms writes terms in the language of queries, once for names and once for texts. What is
// punctuation parts words as it does in the indexes, so that nothing of it can be understood
// as an operator.
func terms(list []string, join string) (inName, inText string) {
	var names, texts []string
	for _, term := range list {
		words := strings.Fields(strings.Map(func(r rune) rune {
			if r == 0 || strings.ContainsRune(punctuation, r) {
				return ' '
			}
			return r
		}, term))
		if len(words) == 0 {
			continue
		}
		row := "('" + strings.Join(words, "' <-> '") + "'"
		begins := row + ":*)"
		names = append(names, begins)
		if strings.HasSuffix(term, "*") {
			texts = append(texts, begins)
		} else {
			texts = append(texts, row+")")
		}
	}
	return strings.Join(names, join), strings.Join(texts, join)
}
