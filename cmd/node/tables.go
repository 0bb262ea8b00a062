package node

import (
	"fmt"
	"net/http"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core"
)

// tables gives a digest of each table, so that databases can be compared from outside: nodes at one position
// give the same digests. It reads every row. ?without=TABLE.COLUMN leaves out a column that another program
// does not have.
func (n *Node) tables(w http.ResponseWriter, r *http.Request) {
	rep := n.parts.Load().replica
	if rep == nil {
		admin.Fail(w, core.E(core.KindUnavailable, "the replica is not open yet"))
		return
	}
	found, err := rep.Digests(r.Context(), r.URL.Query()["without"]...)
	if err != nil {
		admin.Fail(w, core.E(core.KindUnavailable, "the tables cannot be read now").WithCause(err))
		return
	}
	sums := map[string]string{}
	for _, d := range found {
		sums[d.Name] = fmt.Sprintf("%d rows, %s", d.Rows, d.Sum)
	}
	admin.Answer(w, http.StatusOK, map[string]any{"position": admin.PositionOf(rep.Position()), "tables": sums})
}
