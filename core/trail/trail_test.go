package trail_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/trail"
)

// home remembers what is proposed.
type home struct {
	reports [][]core.Audit
	trims   []int64
	old     int // trims that still find something
}

func (h *home) propose(_ context.Context, p core.Proposal) (core.Receipt, error) {
	_, c, err := command.Decode(p.Data)
	if err != nil {
		return core.Receipt{}, err
	}
	var result any
	switch c := c.(type) {
	case *command.ReportAudits:
		h.reports = append(h.reports, c.Audits)
	case *command.TrimAudits:
		h.trims = append(h.trims, c.Before)
		var done command.Trimmed
		if h.old > 0 {
			h.old, done.Audits = h.old-1, 7
		}
		result = done
	}
	outcome, err := command.EncodeOutcome(result, nil)
	return core.Receipt{Outcome: outcome}, err
}

func start(t *testing.T) (*trail.Trail, *home) {
	t.Helper()
	h := &home{}
	tr, err := trail.New(trail.Config{Propose: h.propose, Leads: func() bool { return true }, Retention: 48 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return tr, h
}

// However many failures there are, and however different, what they add to the trail is bounded, and no failure is left
// out of the sum.
func TestTrail_Storm(t *testing.T) {
	tr, h := start(t)
	n := int64(0)
	for round := range 360 { // an hour
		for i := range 5000 {
			tr.Failed(core.Audit{Action: core.AuditLoginFailed, Address: fmt.Sprint(round, "/", i)})
			n++
		}
		if err := tr.Report(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		if err := tr.Report(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lines, told := 0, int64(0)
	for _, r := range h.reports {
		if len(r) > core.MaxAuditsReport {
			t.Errorf("a report has %d lines", len(r))
		}
		lines += len(r)
		for _, a := range r {
			told += a.Times
		}
	}
	if lines > 360+10+core.MaxAuditsReport || told != n {
		t.Errorf("%d failures became %d lines, which tell of %d", n, lines, told)
	}
}

// What fails most often has a line of its own in a storm of other failures.
func TestTrail_MostOften(t *testing.T) {
	tr, h := start(t)
	for i := range 500 {
		tr.Failed(core.Audit{Action: core.AuditLoginFailed, Address: fmt.Sprint(i)})
		tr.Failed(core.Audit{Action: core.AuditLoginFailed, Address: "192.0.2.1", UserID: core.UserID{1}})
	}
	if err := tr.Report(t.Context()); err != nil {
		t.Fatal(err)
	}
	if first := h.reports[0][0]; first.Address != "192.0.2.1" || first.Times != 500 || first.Kind != core.AuditRefusal {
		t.Errorf("the report begins with %+v", first)
	}
}

// Old audits are removed in pieces until none is left, by the time that the configuration says.
func TestTrail_Trim(t *testing.T) {
	tr, h := start(t)
	h.old = 3
	if err := tr.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	age := time.Since(time.UnixMilli(h.trims[0]))
	if len(h.trims) != 4 || age < 48*time.Hour || age > 49*time.Hour {
		t.Errorf("%d pieces, before %v ago", len(h.trims), age)
	}
	if _, err := trail.New(trail.Config{Propose: h.propose, Leads: func() bool { return true }, Retention: time.Hour}); err == nil {
		t.Error("a trail of an hour is allowed")
	}
}
