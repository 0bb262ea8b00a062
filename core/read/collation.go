package read

import (
	"context"
	"strings"
	"sync"

	"github.com/nearside/nearside/core/pg"
)

// collations are the orders of the database's ICU, which people know from their language. They are for lists that
// are shown, and never for what decides.
type collations struct {
	mu    sync.Mutex
	names map[string]string // by lower-case locale; nil: not read yet
}

// chinese are the locales that clients have, by script, as ICU names them.
var chinese = map[string]string{"zh-cn": "zh-hans-cn", "zh-sg": "zh-hans-sg", "zh-tw": "zh-hant-tw", "zh-hk": "zh-hant-hk", "zh-mo": "zh-hant-mo"}

// inOrder gives the expression that orders a column as readers of a locale expect. A database without ICU orders by
// the search form, which is near to it for Latin letters.
func (s *Store) inOrder(ctx context.Context, column, locale string) (string, error) {
	names, err := s.collations.read(ctx, s.db)
	if err != nil {
		return "", err
	}
	locale = strings.ToLower(strings.ReplaceAll(locale, "_", "-"))
	if script, ok := chinese[locale]; ok {
		locale = script
	}
	for ; locale != ""; locale = locale[:max(0, strings.LastIndexByte(locale, '-'))] {
		if name, ok := names[locale]; ok {
			return column + ` COLLATE "` + name + `"`, nil
		}
	}
	if name, ok := names["und"]; ok {
		return column + ` COLLATE "` + name + `"`, nil
	}
	return `search_form(` + column + `), ` + column, nil
}

// read gives the names of the collations; they stay the same while the database runs.
func (c *collations) read(ctx context.Context, db pg.Queryer) (map[string]string, error) {
	c.mu.Lock()
	names := c.names
	c.mu.Unlock()
	if names != nil {
		return names, nil
	}
	list, err := pg.Query(ctx, db, `SELECT collname::text FROM pg_collation WHERE collprovider = 'i' AND collname ~ '^[A-Za-z0-9-]+-x-icu$'`, pg.Scalar[string])
	if err != nil {
		return nil, wrap("read collations", err)
	}
	names = make(map[string]string, len(list))
	for _, name := range list {
		names[strings.ToLower(strings.TrimSuffix(name, "-x-icu"))] = name
	}
	c.mu.Lock()
	c.names = names
	c.mu.Unlock()
	return names, nil
}
