package apply

import (
	"strconv"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/schema"
)

// auditsAtOnce is how many old audits of a kind go at once, so that not every entry reads which is the oldest.
const auditsAtOnce = 200

// Audits is the audit trail. AuditShares says how much of it each account has caused today.
var (
	Audits         = table[int64, core.Audit]("audits", "number")
	AuditShares    = table[auditShare, core.AuditShare]("audit_shares")
	oldestAuditsOf = index[core.AuditKind](Audits, []string{"kind"}, schema.OrderBy("number"), schema.AtMost(auditsAtOnce))
)

// auditShare is the key of what an account has caused.
type auditShare struct {
	User core.UserID    `db:"user_id"`
	Kind core.AuditKind `db:"kind"`
}

// The counters of audits: the number of the last one, and how many of a kind are in the trail.
const lastAudit = "audits"

func auditCount(k core.AuditKind) string { return "audits:" + strconv.FormatInt(int64(k), 10) }

// signer is who has signed in with the entry: until then, there was no session to act with.
func (x *exec) signer(u core.User, s core.SessionID) { x.user, x.by.Session = u, s }

// belongsTo says whose thing a command is about that does not name its owner.
func (x *exec) belongsTo(u core.UserID) { x.owner = u }

// trace adds to the audit trail what an accepted command leaves there.
func (x *exec) trace(c command.Command) {
	t := command.TraceOf(c)
	if t.Kind == 0 {
		return
	}
	owner := x.owner
	if owner.IsZero() {
		owner = t.Subject(c)
	}
	if t.OfOthers && owner == x.user.ID {
		return
	}
	a := core.Audit{Kind: t.Kind, UserID: x.user.ID, SessionID: x.by.Session, Address: x.by.Address, Action: t.Action, Object: t.Object(c)}
	if command.FromHome(c) {
		a.Actor = core.ActorHome
		if x.by.Actor != "" {
			a.Actor = x.by.Actor
		}
	}
	x.audit(a)
}

// audit adds an audit of the caller to the trail. An account that has caused many of the kind on this day causes no more:
// they are only counted, and the trail says how many there were. So nobody can drive out what others have done. The
// administration of the system is never left out.
func (x *exec) audit(a core.Audit) {
	if a.UserID.IsZero() || a.Kind == core.AuditDeed && authz.IsSystemAdmin(x.user.Roles) {
		x.record(a)
		return
	}
	s, _ := AuditShares.Get(x, auditShare{a.UserID, a.Kind})
	if day := x.now / core.AuditDay; s.Day != day {
		x.more(s, s.More-told(s.More))
		s = core.AuditShare{UserID: a.UserID, Kind: a.Kind, Day: day}
	}
	if s.Lines < core.MaxAuditsADay {
		s.Lines++
		x.record(a)
	} else if s.More++; told(s.More) == s.More {
		x.more(s, s.More-told(s.More-1))
	}
	AuditShares.Put(x, s)
}

// told gives how many of so many audits, which were only counted, the trail knows of: it is told of the first one, the tenth,
// the hundredth, and so on, and of the rest on the account's next day.
func told(more int64) (n int64) {
	for p := int64(1); p <= more; p *= 10 {
		n = p
	}
	return n
}

func (x *exec) more(s core.AuditShare, times int64) {
	if times > 0 {
		x.record(core.Audit{Kind: s.Kind, UserID: s.UserID, Action: core.AuditMore, Times: times})
	}
}

// record adds an audit to the trail. If there are too many of its kind, the oldest of them go.
func (x *exec) record(a core.Audit) {
	a.Number, a.CreateAt, a.Times = x.add(lastAudit, 1), x.now, max(1, a.Times)
	Audits.Insert(x, a)
	if x.add(auditCount(a.Kind), 1) > core.MaxAudits {
		x.dropAudits(a.Kind, x.now)
	}
}

// dropAudits removes the oldest audits of a kind that are older than a time, some at once, and gives how many.
func (x *exec) dropAudits(k core.AuditKind, before int64) (n int64) {
	for _, old := range oldestAuditsOf.List(x, k) {
		if old.CreateAt >= before {
			break
		}
		Audits.Delete(x, old.Number)
		n++
	}
	if n > 0 {
		x.add(auditCount(k), -n)
	}
	return n
}

func reportAudits(x *exec, c *command.ReportAudits) (any, error) {
	if len(c.Audits) == 0 || len(c.Audits) > core.MaxAuditsReport {
		return nil, badRequest.With("reason", "over_limit", "field", "audits")
	}
	for _, a := range c.Audits {
		switch a.Kind {
		case core.AuditDeed, core.AuditSignIn, core.AuditRefusal:
			x.record(a)
		default:
			return nil, badRequest.With("reason", "param", "name", "kind")
		}
	}
	return nil, nil
}

func reportRefusals(x *exec, c *command.ReportRefusals) (any, error) {
	u, err := x.caller()
	if err != nil {
		return nil, err
	}
	if len(c.Refusals) == 0 || len(c.Refusals) > core.MaxRefusals {
		return nil, badRequest.With("reason", "over_limit", "field", "refusals")
	}
	for _, r := range c.Refusals {
		if !r.IsRefusal() {
			return nil, badRequest.With("reason", "param", "name", "refusals")
		}
		x.audit(core.Audit{
			Kind: core.AuditRefusal, UserID: u.ID, SessionID: x.by.Session, Address: x.by.Address, Action: r.Action, Object: r.Object, Result: r.Result,
			Times: min(r.Times, core.MaxAuditTimes),
		})
	}
	return nil, nil
}

func trimAudits(x *exec, c *command.TrimAudits) (any, error) {
	before := min(c.Before, x.now-core.MinAuditAge.Milliseconds())
	var n int64
	for _, k := range [...]core.AuditKind{core.AuditDeed, core.AuditSignIn, core.AuditRefusal} {
		n += x.dropAudits(k, before)
	}
	return command.Trimmed{Audits: n}, nil
}
