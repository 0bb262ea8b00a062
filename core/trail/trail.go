// Package trail has what home adds to the audit trail besides what commands leave there: attempts to sign in that
// failed, what operators do, and how old the trail may become.
//
// Failures are summed up: who goes on guessing adds to a number, and not to the log. What is told of them is bounded
// for all together, so that nobody can fill the trail with them.
//
// Lines writes the trail into a file at each node.
//
// Concurrency: a Trail and Deeds are safe for concurrent use; Lines belongs to its Run. Nothing has goroutines of its own.
package trail

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

const (
	reportEvery = 10 * time.Second // how long failures gather before they are reported, and are lost if this node dies
	trimEvery   = time.Hour
	trimAtOnce  = 1000 // entries; the rest goes an hour later

	// Each report earns a line, and lines are saved up to the length of a report. A storm of failures of ever other accounts
	// and addresses adds one line in ten seconds.
	maxLines = core.MaxAuditsReport
	fewLines = 8    // a report waits for so many lines if it has more to say than it may
	maxSums  = 1024 // different failures between two reports; others are summed up in one
)

// Config configures a Trail. Every field is required but Logger.
type Config struct {
	Propose   func(ctx context.Context, p core.Proposal) (core.Receipt, error) // at the leader; KindUnavailable elsewhere
	Leads     func() bool                                                      // this node leads
	Retention time.Duration                                                    // audits leave the trail when they are older
	Logger    *slog.Logger                                                     // default: discard
}

// Trail adds to the audit trail at a home node.
type Trail struct {
	cfg Config

	mu    sync.Mutex // guards all below
	sums  map[core.Audit]int64
	lines int // that the next report may have
	told  hours
}

// New makes a Trail.
func New(cfg Config) (*Trail, error) {
	if cfg.Propose == nil || cfg.Leads == nil || cfg.Retention < core.MinAuditAge {
		return nil, errors.New("trail: Propose, Leads and a Retention of at least a day are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Trail{cfg: cfg, sums: map[core.Audit]int64{}, lines: maxLines}, nil
}

// Failed notes an attempt that did not succeed. The audits of failures that are alike are equal.
func (t *Trail) Failed(a core.Audit) {
	a.Kind = core.AuditRefusal
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.sums[a]; !known && len(t.sums) >= maxSums {
		a = others(a)
	}
	t.sums[a]++
}

// others is the audit of all failures that have no line of their own.
func others(a core.Audit) core.Audit {
	return core.Audit{Kind: a.Kind, Action: a.Action, Object: core.AuditOthers}
}

// Run reports failures, and removes old audits, until ctx ends.
func (t *Trail) Run(ctx context.Context) error {
	report, trim := time.NewTicker(reportEvery), time.NewTicker(trimEvery)
	defer report.Stop()
	defer trim.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-report.C:
			err = t.Report(ctx)
		case <-trim.C:
			err = t.Trim(ctx)
		}
		if err != nil && ctx.Err() == nil {
			t.cfg.Logger.Warn("the audit trail could not be kept", "err", err)
		}
	}
}

// Report adds what failed since the last report to the audit trail.
func (t *Trail) Report(ctx context.Context) error {
	list := t.take()
	if len(list) == 0 {
		return nil
	}
	return t.order(ctx, newID(), &command.ReportAudits{Audits: list}, nil)
}

// Trim removes the audits that are older than the trail may be, if this node leads.
func (t *Trail) Trim(ctx context.Context) error {
	before := time.Now().Add(-t.cfg.Retention).UnixMilli()
	for range trimAtOnce {
		if !t.cfg.Leads() {
			return nil
		}
		var done command.Trimmed
		if err := t.order(ctx, newID(), &command.TrimAudits{Before: before}, &done); err != nil || done.Audits == 0 {
			return err
		}
	}
	return nil
}

// take gives what there is to report: what happened most often has a line of its own, if there are not enough lines.
func (t *Trail) take() (out []core.Audit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = min(t.lines+1, maxLines); len(t.sums) > t.lines && t.lines < fewLines {
		return nil
	}
	for a, n := range t.sums {
		a.Times = n
		out = append(out, a)
	}
	clear(t.sums)
	slices.SortFunc(out, func(a, b core.Audit) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), strings.Compare(a.UserID.String()+a.Address+a.Object+a.Result, b.UserID.String()+b.Address+b.Object+b.Result))
	})
	if len(out) > t.lines {
		rest := others(out[t.lines])
		for _, a := range out[t.lines-1:] {
			rest.Times += a.Times
		}
		out = append(out[:t.lines-1], rest)
	}
	t.lines -= len(out)
	return out
}

func newID() core.ProposalID { return core.NewID[core.Proposal](time.Now()) }

func (t *Trail) order(ctx context.Context, id core.ProposalID, c command.Command, result any) error {
	data, err := command.Encode(command.Caller{}, c)
	if err != nil {
		return err
	}
	receipt, err := t.cfg.Propose(ctx, core.Proposal{ID: id, Data: data})
	if err != nil {
		return err
	}
	return command.DecodeOutcome(receipt.Outcome, result)
}
