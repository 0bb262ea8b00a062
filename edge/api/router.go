package api

import (
	"fmt"
	"strings"
)

// router finds the row of an operation by method and path. The standard ServeMux cannot: it
// refuses patterns that overlap, as /users/{user_id}/teams and /users/username/{username} do.
// Here a literal segment wins over a parameter, segment by segment, with another try when the
// rest of the path does not fit.
type router struct {
	literal map[string]*router
	param   *router
	routes  map[string]*target // by method
}

// target is a row in its place.
type target struct {
	*Route
	params []string // names of the parameters in the path, in order
}

// add puts a row in its place. An earlier row for the same place stays.
func (t *router) add(r *Route) error {
	var names []string
	for seg := range strings.SplitSeq(strings.Trim(r.Path, "/"), "/") {
		if name, ok := strings.CutPrefix(seg, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
			if t.param == nil {
				t.param = new(router)
			}
			t = t.param
			continue
		}
		next := t.literal[seg]
		if next == nil {
			if t.literal == nil {
				t.literal = make(map[string]*router)
			}
			next = new(router)
			t.literal[seg] = next
		}
		t = next
	}
	if t.routes == nil {
		t.routes = make(map[string]*target)
	}
	if t.routes[r.Method] != nil {
		return fmt.Errorf("route %s %s stands in the table twice", r.Method, r.Path)
	}
	t.routes[r.Method] = &target{r, names}
	return nil
}

// find gives the row for a method and a path, and the values of its parameters.
func (t *router) find(method, path string) (*target, []string) {
	var values [8]string
	return t.walk(method, strings.Trim(path, "/"), values[:0])
}

func (t *router) walk(method, rest string, values []string) (*target, []string) {
	if rest == "" {
		if hit := t.routes[method]; hit != nil {
			return hit, values
		}
		return t.routes["ANY"], values
	}
	seg, rest, _ := strings.Cut(rest, "/")
	if next := t.literal[seg]; next != nil {
		if hit, v := next.walk(method, rest, values); hit != nil {
			return hit, v
		}
	}
	if t.param == nil || seg == "" {
		return nil, nil
	}
	return t.param.walk(method, rest, append(values, seg))
}
