package admin

import (
	"net/http"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/region"
)

// HomeHandler answers the requests of operators about the home nodes.
type HomeHandler struct {
	Region func() *region.Region // nil while the node is starting, and away from home
}

// Register adds the handler's paths.
func (h *HomeHandler) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/home/add", h.add)
	mux.HandleFunc("POST /v1/home/remove", h.remove)
	mux.HandleFunc("POST /v1/home/trust", h.trust)
}

// atHome gives the region of a node at home.
func atHome(r *region.Region) (*region.Region, error) {
	if r == nil {
		return nil, core.E(core.KindUnavailable, "this node is not at home, or still starting")
	}
	return r, nil
}

// Home is who the home nodes are.
type Home struct {
	Voters []region.Voter `json:"voters"`
}

func (h *HomeHandler) add(w http.ResponseWriter, req *http.Request) {
	var v region.Voter
	h.change(w, req, &v, func(now []region.Voter) ([]region.Voter, error) {
		if slices.ContainsFunc(now, func(n region.Voter) bool { return n.Node == v.Node }) {
			return nil, core.E(core.KindConflict, "%s is a home node already", v.Node)
		}
		return append(now, v), nil
	})
}

func (h *HomeHandler) remove(w http.ResponseWriter, req *http.Request) {
	var v region.Voter
	h.change(w, req, &v, func(now []region.Voter) ([]region.Voter, error) { return without(v.Node)(now) })
}

// without leaves a home node out.
func without(node string) func([]region.Voter) ([]region.Voter, error) {
	return func(now []region.Voter) ([]region.Voter, error) {
		left := slices.DeleteFunc(slices.Clone(now), func(n region.Voter) bool { return n.Node == node })
		if len(left) == len(now) {
			return nil, core.E(core.KindNotFound, "%s is no home node", node)
		}
		return left, nil
	}
}

func (h *HomeHandler) change(w http.ResponseWriter, req *http.Request, v *region.Voter, next func([]region.Voter) ([]region.Voter, error)) {
	err := Decode(w, req, `{"node":"NAME","addr":"HOST:PORT"}`, v)
	about(req, "node="+v.Node)
	var r *region.Region
	if err == nil {
		r, err = atHome(h.Region())
	}
	var voters []region.Voter
	if err == nil {
		voters, err = r.SetMembers(req.Context(), next)
	}
	if err != nil {
		Fail(w, err)
		return
	}
	Answer(w, http.StatusOK, Home{Voters: voters})
}

func (h *HomeHandler) trust(w http.ResponseWriter, _ *http.Request) {
	r, err := atHome(h.Region())
	if err == nil {
		err = r.Trust()
	}
	if err != nil {
		Fail(w, err)
		return
	}
	Answer(w, http.StatusOK, r.Status())
}
