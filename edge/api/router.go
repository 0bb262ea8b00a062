package api

import (
	"fmt"
	"strings"
)

// router finds the route of an operation by method and path. The standard ServeMux refuses
// patterns that overlap, such as /users/{user_id}/teams and /users/username/{username}. Here a
// literal segment is preferred to a parameter, segment by segment; if the rest of the path does
// not match, the parameter is tried.
type router struct {
	literal map[string]*router
	param   *router
	routes  map[string]*target // by method
}

// target is a route with the names of its parameters.
type target struct {
	*Route
	params []string // names of the parameters in the path, in order
}

// add adds a route. An earlier route for the same path and method stays.
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

// find returns the route for a method and a path, and the values of its parameters.
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
