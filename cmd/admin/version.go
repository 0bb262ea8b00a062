package admin

import (
	"net/http"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/region"
)

// VersionHandler answers the requests of operators about the version of the log.
type VersionHandler struct {
	Upgrade func() *region.Upgrade // nil while the node is starting, and away from home
}

// Register adds the handler's paths.
func (h *VersionHandler) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/version", h.status)
	mux.HandleFunc("POST /v1/version/raise", h.raise)
}

func (h *VersionHandler) upgrade() (*region.Upgrade, error) {
	if u := h.Upgrade(); u != nil {
		return u, nil
	}
	return nil, core.E(core.KindUnavailable, "the version of the log is decided at home; this node is elsewhere, or still starting")
}

func (h *VersionHandler) status(w http.ResponseWriter, _ *http.Request) {
	u, err := h.upgrade()
	if err != nil {
		Fail(w, err)
		return
	}
	Answer(w, http.StatusOK, u.Status())
}

func (h *VersionHandler) raise(w http.ResponseWriter, r *http.Request) {
	var how struct {
		Without []string `json:"without"`
	}
	err := Decode(w, r, `{"without":["NODE"]}`, &how)
	about(r, strings.Join(how.Without, " "))
	var u *region.Upgrade
	if err == nil {
		u, err = h.upgrade()
	}
	if err == nil {
		err = u.Raise(r.Context(), how.Without)
	}
	if err != nil {
		Fail(w, err)
		return
	}
	Answer(w, http.StatusOK, u.Status())
}
