package read

import (
	"context"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
)

// FileQuery says which files a search finds. Zero fields do not filter. A term of several words means
// these words one after another; a word that ends in * means any word that begins with it. In names, a
// word always means any word that begins with it.
type FileQuery struct {
	User            core.UserID // only files of channels that this user is a member of
	Team            core.TeamID // only files of the team's channels and of channels without a team
	Terms, Excluded []string
	Any             bool // one of the terms is enough
	From, NotFrom   []core.UserID
	In, NotIn       []core.ChannelID
	Ext, NotExt     []string // without dots
	After, Before   int64    // created at After or later, and before Before, in Unix milliseconds
	IncludeArchived bool     // files of archived channels too
	Page            Page
}

const (
	maxWords     = 64 // of all terms, and of all that are excluded
	maxWordBytes = 255
)

// The words of a name and of a text: exactly the expressions of their indexes.
const (
	nameWords = `search_words(t.name)`
	textWords = `search_words(x.text)`
)

// tooManyWords: a search is over its bounds.
var tooManyWords = core.Refusal{Kind: core.KindInvalid, ID: "api.context.invalid_body_param.app_error"}.With("reason", "words")

// SearchFiles gives a page of the files of posts that a query finds, the newest first.
func (s *Store) SearchFiles(ctx context.Context, q FileQuery) ([]core.File, error) {
	if !bounded(q.Terms...) || !bounded(q.Excluded...) {
		return nil, tooManyWords
	}
	a := newArgs(nil)
	conds := append(q.scope(a), q.filters(a)...)
	words, found := q.words(a)
	if !found {
		return []core.File{}, nil
	}
	conds = append(conds, words...)
	sql := `FROM files t JOIN channels c ON c.id = t.channel_id WHERE ` + strings.Join(conds, " AND ") +
		` ORDER BY t.create_at DESC, t.id DESC LIMIT ` + a.add(q.Page.Size) + ` OFFSET ` + a.add(q.Page.offset())
	return s.byIndex(ctx, sql, a.values...)
}

// byIndex runs a query for files without sequential scans. PostgreSQL believes that splitting a text
// into words costs nothing, and for a frequent word it would do that with every text in the table.
func (s *Store) byIndex(ctx context.Context, rest string, args ...any) (list []core.File, err error) {
	err = s.db.ReadTx(ctx, func(ctx context.Context, tx pg.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = off"); err != nil {
			return err
		}
		list, err = many(ctx, tx, apply.Files, rest, args...)
		return err
	})
	return list, wrap("search files", err)
}

// bounded reports whether terms have not too many and not too long words. The time that PostgreSQL needs
// for a phrase grows with the square of the number of its words.
func bounded(terms ...string) bool {
	words := 0
	for _, t := range terms {
		row := wordsOf(t)
		if words += len(row); words > maxWords {
			return false
		}
		for _, w := range row {
			if len(w) > maxWordBytes {
				return false
			}
		}
	}
	return true
}

// scope restricts a search to what the user may see.
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

// words gives the conditions for the terms; found is false if no file can match.
func (q *FileQuery) words(a *args) (conds []string, found bool) {
	join := " & "
	if q.Any {
		join = " | "
	}
	inName, inText := terms(q.Terms, join)
	switch {
	case inName != "":
		conds = append(conds, `t.id IN `+having(a, inName, inText))
	case len(q.Terms) > 0:
		return nil, false
	}
	if inName, inText = terms(q.Excluded, " | "); inName != "" {
		conds = append(conds, `t.id NOT IN `+having(a, inName, inText))
	}
	return conds, true
}

// having gives the condition for files whose names or texts match.
func having(a *args, inName, inText string) string {
	return `(SELECT t.id FROM files t WHERE ` + live + ` AND ` + nameWords + ` @@ to_tsquery('simple', search_form(` + a.add(inName) + `))
		UNION ALL SELECT x.file_id FROM file_texts x WHERE ` + textWords + ` @@ to_tsquery('simple', search_form(` + a.add(inText) + `)))`
}

// terms writes terms in the query language of PostgreSQL, once for names and once for texts.
func terms(list []string, join string) (inName, inText string) {
	var names, texts []string
	for _, term := range list {
		words := wordsOf(term)
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
