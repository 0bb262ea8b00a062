package api

import (
	"math"
	"strconv"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

// Paging.
const (
	DefaultPerPage = 60
	MaxPerPage     = 200
	MaxPage        = 10_000_000
)

// Query returns a parameter of the query string, or "".
func (c *Call) Query(name string) string {
	if c.values == nil {
		c.values = c.Request.URL.Query()
	}
	return c.values.Get(name)
}

// Queries returns all values of a parameter of the query string.
func (c *Call) Queries(name string) []string {
	_ = c.Query(name)
	return c.values[name]
}

// Flag reports whether a parameter is true.
func (c *Call) Flag(name string) bool {
	v, _ := strconv.ParseBool(c.Query(name))
	return v
}

// Number returns a parameter from 0 to limit, or def if it is missing or out of range.
func (c *Call) Number(name string, def, limit int) int {
	n, err := strconv.Atoi(c.Query(name))
	if err != nil || n < 0 {
		return def
	}
	return min(n, limit)
}

// Millis returns a parameter that is a time; 0 if it is missing.
func (c *Call) Millis(name string) (int64, error) {
	s := c.Query(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n == math.MaxInt64 {
		return 0, BadQuery(name)
	}
	return n, nil
}

// Since passes a time of the query string to a handler; 0 if it is missing.
func Since[T, R any](name string, h func(*Call, T, int64) (R, error)) func(*Call, T) (R, error) {
	return func(c *Call, object T) (r R, err error) {
		since, err := c.Millis(name)
		if err != nil {
			return r, err
		}
		return h(c, object, since)
	}
}

// Page returns the requested part of a list.
func (c *Call) Page() read.Page {
	return read.Page{Number: c.Number("page", 0, MaxPage), Size: c.Number("per_page", DefaultPerPage, MaxPerPage)}
}

// QueryID returns an id of the query string, or zero.
func QueryID[T any](c *Call, name string) (core.ID[T], error) {
	s := c.Query(name)
	if s == "" {
		return core.ID[T]{}, nil
	}
	id, ok := core.ParseID[T](s)
	if !ok {
		return id, BadQuery(name)
	}
	return id, nil
}

// ParseIDs reads a list of ids that must not be empty or longer than limit.
func ParseIDs[T any](list []string, name string, limit int) ([]core.ID[T], error) {
	if len(list) == 0 || len(list) > limit {
		return nil, BadParam(name)
	}
	out := make([]core.ID[T], len(list))
	for i, s := range list {
		id, ok := core.ParseID[T](s)
		if !ok {
			return nil, BadParam(name)
		}
		out[i] = id
	}
	return out, nil
}

// IDs passes the ids in the request's body to a handler; name is for refusals.
func IDs[T, N, R any](name string, h func(*Call, T, []core.ID[N]) (R, error)) func(*Call, T) (R, error) {
	return Body(func(c *Call, object T, list []string) (r R, err error) {
		ids, err := ParseIDs[N](list, name, read.MaxIDs)
		if err != nil {
			return r, err
		}
		return h(c, object, ids)
	})
}

// Found returns the row that a query found, or refuses with none.
func Found[T any](none core.Refusal) func(T, bool, error) (T, error) {
	return func(v T, ok bool, err error) (T, error) {
		if err == nil && !ok {
			err = none
		}
		return v, err
	}
}

// Lower returns a name or an address in the form for comparison: without surrounding space, in
// lower case.
func Lower(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
