package admin

import (
	"net/http"
	"strconv"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

// MaxAudits is how many audits one answer has at most.
const MaxAudits = 1000

// AuditHandler answers the requests of operators about the audit trail.
type AuditHandler struct {
	Store func() *read.Store // nil while the node is starting
}

// Audits is an answer.
type Audits struct {
	Audits []core.Audit `json:"audits"`
}

// Register adds the handler's path.
func (h *AuditHandler) Register(mux *http.ServeMux) { mux.HandleFunc("GET /v1/audits", h.list) }

func (h *AuditHandler) list(w http.ResponseWriter, r *http.Request) {
	out, err := h.audits(r)
	if err != nil {
		Fail(w, err)
		return
	}
	Answer(w, http.StatusOK, Audits{out})
}

func (h *AuditHandler) audits(r *http.Request) ([]core.Audit, error) {
	store := h.Store()
	if store == nil {
		return nil, core.E(core.KindUnavailable, "this node is still starting")
	}
	q := r.URL.Query()
	f, limit := read.AuditFilter{Action: q.Get("action"), Result: q.Get("result")}, int64(100)
	for name, to := range map[string]*int64{"since": &f.Since, "until": &f.Until, "after": &f.After, "before": &f.Before, "limit": &limit} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, core.E(core.KindInvalid, "%s is no number", name)
		}
		*to = n
	}
	f.Onward = f.After > 0
	if limit < 1 || limit > MaxAudits {
		return nil, core.E(core.KindInvalid, "limit is from 1 to %d", MaxAudits)
	}
	if who := q.Get("user"); who != "" {
		id, ok := core.ParseID[core.User](who)
		if !ok {
			u, found, err := store.UserByName(r.Context(), who)
			if err != nil || !found {
				return nil, core.E(core.KindNotFound, "no account is called %q", who).WithCause(err)
			}
			id = u.ID
		}
		f.UserID = id
	}
	return store.Audits(r.Context(), f, read.Page{Size: int(limit)})
}
