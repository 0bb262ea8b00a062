package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// AuditFilter says which audits a list holds. Zero fields do not filter.
type AuditFilter struct {
	Since, Until  int64 // Unix milliseconds; until is not included
	After, Before int64 // numbers of audits, not included
	Onward        bool  // the oldest first
	UserID        core.UserID
	Action        string
	Result        string // AuditDone: only what was done
}

// AuditDone is the Result of a filter for what was done, not refused.
const AuditDone = "done"

// Audits gives a page of the audit trail, the latest first unless the filter says otherwise.
func (s *Store) Audits(ctx context.Context, f AuditFilter, p Page) ([]core.Audit, error) {
	a := newArgs(nil)
	where, order := `true`, `DESC`
	for condition, n := range map[string]int64{`create_at >= `: f.Since, `create_at < `: f.Until, `number > `: f.After, `number < `: f.Before} {
		if n > 0 {
			where += ` AND ` + condition + a.add(n)
		}
	}
	if f.Onward {
		order = `ASC`
	}
	if !f.UserID.IsZero() {
		where += ` AND user_id = ` + a.add([16]byte(f.UserID))
	}
	if f.Action != "" {
		where += ` AND action = ` + a.add(f.Action)
	}
	switch f.Result {
	case "":
	case AuditDone:
		where += ` AND result = ''`
	default:
		where += ` AND result = ` + a.add(f.Result)
	}
	return many(ctx, s.db, apply.Audits, `FROM audits t WHERE `+where+` ORDER BY number `+order+` LIMIT `+a.add(p.Size)+` OFFSET `+a.add(p.offset()), a.values...)
}

// LastAudit gives the number of the last audit in the trail; 0 if there is none.
func (s *Store) LastAudit(ctx context.Context) (int64, error) {
	return count(ctx, s.db, `SELECT coalesce(max(number), 0) FROM audits`)
}
