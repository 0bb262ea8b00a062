package api

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

const (
	reportEvery     = time.Minute // how long refusals gather
	reportLimit     = 10 * time.Second
	refusedSessions = 1024 // sessions with refusals between two reports; those of more are only counted
)

// refusals sums up for the audit trail what callers were refused permission for: by session, operation and object. An
// edge can report only what is about the sessions that it was shown the tokens of, because home asks for the proof. What is
// not reported is counted.
type refusals struct {
	cfg     *Config
	dropped prometheus.Counter

	mu sync.Mutex // guards of
	of map[core.SessionID]*refused
}

// refused is what one session was refused.
type refused struct {
	key     core.ProofKey
	address string
	sums    map[core.Audit]int64
}

func newRefusals(cfg *Config) *refusals {
	r := &refusals{cfg: cfg, of: map[core.SessionID]*refused{}, dropped: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "nearside_audit_refusals_dropped_total", Help: "Refusals of permission that are not in the audit trail, because there were too many or home could not be reached.",
	})}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(r.dropped)
	}
	return r
}

// note notes a refusal of permission. Who is not signed in is refused for another reason.
func (r *refusals) note(c *Call, err error) {
	if core.KindOf(err) != core.KindForbidden || c.Session.ID.IsZero() || c.Token == "" {
		return
	}
	a := core.Audit{Action: c.target.Method + " " + c.target.Path, Object: c.object(), Result: core.AsError(err).ID}
	if a.Result == "" {
		a.Result = Forbidden.ID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.of[c.Session.ID]
	if s == nil {
		if len(r.of) >= refusedSessions {
			r.dropped.Inc()
			return
		}
		s = &refused{key: core.HashToken(c.Token).ProofKey(), address: c.Address.WithZone("").String(), sums: map[core.Audit]int64{}}
		r.of[c.Session.ID] = s
	}
	if _, known := s.sums[a]; !known && len(s.sums) >= core.MaxRefusals-1 {
		a = core.Audit{Action: core.AuditOthers, Result: a.Result}
		if _, known := s.sums[a]; !known && len(s.sums) >= core.MaxRefusals {
			r.dropped.Inc()
			return
		}
	}
	s.sums[a]++
}

// objects are the parameters of paths that say on what an operation acts, as ids of objects. Other parameters may be
// anything that somebody typed.
var objects = []string{"user_id", "team_id", "channel_id", "post_id", "file_id", "bookmark_id"}

// object says on what the call acts, as far as the path says it.
func (c *Call) object() string {
	var parts []string
	for i, name := range c.target.params {
		if !slices.Contains(objects, name) || i >= len(c.params) {
			continue
		}
		if id, ok := core.ParseID[Call](c.params[i]); ok {
			parts = append(parts, name+"="+id.String())
		}
	}
	return strings.Join(parts, " ")
}

// run reports now and then until ctx ends.
func (r *refusals) run(ctx context.Context) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.report(ctx)
		}
	}
}

// report adds to the audit trail what was refused since the last report.
func (r *refusals) report(ctx context.Context) {
	r.mu.Lock()
	all := r.of
	r.of = map[core.SessionID]*refused{}
	r.mu.Unlock()
	for session, s := range all {
		r.tell(ctx, session, s)
	}
}

// last reports what a session was refused before it ends: afterwards nobody could.
func (r *refusals) last(ctx context.Context, session core.SessionID) {
	r.mu.Lock()
	s := r.of[session]
	delete(r.of, session)
	r.mu.Unlock()
	if s != nil {
		r.tell(ctx, session, s)
	}
}

func (r *refusals) tell(ctx context.Context, session core.SessionID, s *refused) {
	var cmd command.ReportRefusals
	all := int64(0)
	for a, n := range s.sums {
		a.Times = n
		all += n
		cmd.Refusals = append(cmd.Refusals, a)
	}
	slices.SortFunc(cmd.Refusals, func(a, b core.Audit) int {
		return strings.Compare(a.Action+a.Object+a.Result, b.Action+b.Object+b.Result)
	})
	ctx, cancel := context.WithTimeout(ctx, reportLimit)
	defer cancel()
	data, err := command.Encode(command.Caller{Session: session, Address: s.address}, &cmd)
	if err == nil {
		p := core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Data: data}
		p.Proof = s.key.Prove(&p)
		var receipt core.Receipt
		if receipt, err = r.cfg.Proposer.Propose(ctx, p); err == nil {
			err = command.DecodeOutcome(receipt.Outcome, nil)
		}
	}
	if err != nil {
		r.dropped.Add(float64(all))
	}
}
