package api

import (
	"math"
	"strconv"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

// Paging.
const (
	defaultPerPage = 60
	maxPerPage     = 200
	maxPage        = 10_000_000
)

// query gives a parameter of the query string, "" without one.
func (c *call) query(name string) string {
	if c.values == nil {
		c.values = c.r.URL.Query()
	}
	return c.values.Get(name)
}

// flag reports whether a parameter says yes.
func (c *call) flag(name string) bool {
	v, _ := strconv.ParseBool(c.query(name))
	return v
}

// number gives a parameter from 0 to limit, or def when it is missing or no such number.
func (c *call) number(name string, def, limit int) int {
	n, err := strconv.Atoi(c.query(name))
	if err != nil || n < 0 {
		return def
	}
	return min(n, limit)
}

// millis gives a parameter that is a time; missing is 0.
func (c *call) millis(name string) (int64, error) {
	s := c.query(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n == math.MaxInt64 {
		return 0, badQuery(name)
	}
	return n, nil
}

// pageOf gives the part of a list that is asked for.
func (c *call) pageOf() read.Page {
	return read.Page{Number: c.number("page", 0, maxPage), Size: c.number("per_page", defaultPerPage, maxPerPage)}
}

// queryID gives an id of the query string, zero without one.
func queryID[T any](c *call, name string) (core.ID[T], error) {
	s := c.query(name)
	if s == "" {
		return core.ID[T]{}, nil
	}
	id, ok := core.ParseID[T](s)
	if !ok {
		return id, badQuery(name)
	}
	return id, nil
}

// parseIDs reads a list of ids that must not be empty or longer than limit.
func parseIDs[T any](list []string, name string, limit int) ([]core.ID[T], error) {
	if len(list) == 0 || len(list) > limit {
		return nil, badParam(name)
	}
	out := make([]core.ID[T], len(list))
	for i, s := range list {
		id, ok := core.ParseID[T](s)
		if !ok {
			return nil, badParam(name)
		}
		out[i] = id
	}
	return out, nil
}

// bodyIDs decodes a body that is a list of ids.
func bodyIDs[T any](c *call, name string) ([]core.ID[T], error) {
	var list []string
	if err := c.decode(&list); err != nil {
		return nil, err
	}
	return parseIDs[T](list, name, read.MaxIDs)
}
