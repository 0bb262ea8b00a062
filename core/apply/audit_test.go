package apply_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
)

func init() {
	applytest.Nouns = append(applytest.Nouns, applytest.Noun{Name: "trail", Make: func(c *applytest.Chaos, who int, _ core.ChannelID) command.Command {
		if c.Rnd.IntN(4) == 0 {
			c.At = c.At.Add(3 * time.Hour)
			return &command.TrimAudits{Before: c.At.UnixMilli()}
		}
		if c.Rnd.IntN(3) == 0 {
			return &command.ReportRefusals{Refusals: []core.Audit{{Action: "GET /" + c.Word(), Object: c.Word(), Result: "no", Times: int64(c.Rnd.IntN(5))}}}
		}
		var cmd command.ReportAudits
		for range 1 + c.Rnd.IntN(3) {
			cmd.Audits = append(cmd.Audits, core.Audit{Kind: core.AuditRefusal, UserID: c.User(who), Address: c.Word(), Action: core.AuditLoginFailed, Result: "wrong", Times: int64(c.Rnd.IntN(5))})
		}
		return &cmd
	}})
}

// trail gives the audits in the trail.
func (w *world) trail() (out []core.Audit) {
	for _, row := range w.store.Rows(apply.Audits.Shape) {
		out = append(out, *(*core.Audit)(row))
	}
	return out
}

// toldFrom gives the trail from a place on, as text: who, what, on what and how often.
func (w *world) toldFrom(n int) (out []string) {
	name := map[string]string{}
	for who, u := range w.users {
		name[u.ID.String()] = who
	}
	for _, a := range w.trail()[n:] {
		who := a.Actor
		if !a.UserID.IsZero() {
			who = name[a.UserID.String()]
		}
		out = append(out, fmt.Sprintf("%s %s %s %d", who, a.Action, a.Object, a.Times))
	}
	return out
}

func (w *world) tells(from int, want ...string) {
	w.Helper()
	if d := cmp.Diff(want, w.toldFrom(from)); d != "" {
		w.Errorf("in the trail (-want +got):\n%s", d)
	}
}

// What people do to accounts, teams and the things of others is in the trail, and what they do with their own is not.
// What is refused is not either, whatever it was.
func TestAudit_WhatIsInTheTrail(t *testing.T) {
	w, town := two(t)
	ada, bob := w.users["ada"], w.users["bob"]
	w.post("bob", town, core.PostID{}, "mine")
	p := w.post("bob", town, core.PostID{}, "another")
	from := len(w.trail())
	nick, pin := "x", true
	w.refused("bob", &command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Nickname: &nick}}, core.KindForbidden)
	w.must("bob", &command.SetUserImage{UserID: bob.ID}, nil)
	w.must("ada", &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{IsPinned: &pin}}, nil)
	w.tells(from)
	w.must("ada", &command.SetUserImage{UserID: bob.ID}, nil)
	w.must("ada", &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{Message: &nick}}, nil)
	w.must("ada", &command.DeletePost{PostID: p.ID}, nil)
	session := core.NewID[core.Session](w.at)
	w.must("", &command.CreateSession{Session: core.Session{ID: session, UserID: bob.ID}, PasswordSeal: bob.PasswordSeal}, nil)
	w.tells(from, "ada set_user_image user_id="+bob.ID.String()+" 1", "ada patch_post post_id="+p.ID.String()+" 1", "ada delete_post post_id="+p.ID.String()+" 1",
		"bob create_session  1")
	last := w.trail()[len(w.trail())-1]
	if last.Kind != core.AuditSignIn || last.SessionID != session || last.CreateAt == 0 {
		t.Errorf("the sign-in is %+v", last)
	}
}

// An audit has the address that the edge knows, and who it was only if home says so.
func TestAudit_From(t *testing.T) {
	w, _ := two(t)
	bob := w.users["bob"]
	try := func(by command.Caller, c command.Command) core.Audit {
		t.Helper()
		data, err := command.Encode(by, c)
		if err != nil {
			t.Fatal(err)
		}
		w.index++
		w.at = w.at.Add(time.Millisecond)
		if _, err := w.store.Apply(core.Entry{Index: w.index, At: w.at, ID: core.NewID[core.Proposal](w.at), Data: data}); err != nil {
			t.Fatal(err)
		}
		all := w.trail()
		return all[len(all)-1]
	}
	nick := "x"
	got := try(command.Caller{Session: w.sessions["bob"], Address: "192.0.2.7", Actor: core.ActorOperator}, &command.PatchUser{UserID: bob.ID, UserPatch: core.UserPatch{Nickname: &nick}})
	if got.Address != "192.0.2.7" || got.Actor != "" || got.UserID != bob.ID {
		t.Errorf("by a person: %+v", got)
	}
	w.at = w.at.Add(2 * core.MinAuditAge)
	got = try(command.Caller{Address: "socket", Actor: core.ActorOperator}, &command.TrimAudits{Before: w.at.UnixMilli()})
	if got.Address != "socket" || got.Actor != core.ActorOperator {
		t.Errorf("by an operator: %+v", got)
	}
	for _, by := range []command.Caller{{Session: w.sessions["bob"], Actor: core.ActorOperator}, {Session: w.sessions["bob"], Address: string(make([]byte, 65))}} {
		data, err := command.Encode(by, &command.EndSession{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := command.Check(core.Proposal{Data: data}, core.LogVersion); err == nil {
			t.Errorf("home orders what an edge proposes with the caller %+v", by)
		}
	}
}

// An account adds a bounded number of lines in a day, however much it does, and the trail says how much more there was.
// Others are not affected, nor are administrators of the system.
func TestAudit_BoundedByAccount(t *testing.T) {
	w, _ := two(t)
	bob, ada := w.users["bob"], w.users["ada"]
	from := len(w.trail())
	nick := "x"
	for range core.MaxAuditsADay + 250 {
		w.must("bob", &command.PatchUser{UserID: bob.ID, UserPatch: core.UserPatch{Nickname: &nick}}, nil)
	}
	more := "bob more  "
	if got := w.toldFrom(from + core.MaxAuditsADay); len(got) != 3 || got[0] != more+"1" || got[1] != more+"9" || got[2] != more+"90" {
		t.Errorf("after %d deeds the trail ends with %v", core.MaxAuditsADay+250, got)
	}
	from = len(w.trail())
	for range core.MaxAuditsADay + 1 {
		w.must("ada", &command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Nickname: &nick}}, nil)
	}
	if got := w.toldFrom(from); len(got) != core.MaxAuditsADay+1 {
		t.Errorf("an administrator has %d lines", len(got))
	}
	from = len(w.trail())
	w.at = w.at.Add(24 * time.Hour)
	w.must("bob", &command.PatchUser{UserID: bob.ID, UserPatch: core.UserPatch{Nickname: &nick}}, nil)
	if got := w.toldFrom(from); len(got) != 2 || got[0] != more+"150" {
		t.Errorf("on the next day: %v", got)
	}
}

// A report has a bounded number of lines, of kinds that there are. What is old leaves the trail when home says so, and
// never what is younger than a day.
func TestAudit_Trimmed(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	report := func(n int, k core.AuditKind) *command.ReportAudits {
		var c command.ReportAudits
		for i := range n {
			c.Audits = append(c.Audits, core.Audit{Kind: k, Action: core.AuditLoginFailed, Address: fmt.Sprint(i)})
		}
		return &c
	}
	w.refused("", report(core.MaxAuditsReport+1, core.AuditRefusal), core.KindInvalid)
	w.refused("", report(0, core.AuditRefusal), core.KindInvalid)
	w.refused("", report(1, 4), core.KindInvalid)
	for range 8 {
		w.must("", report(core.MaxAuditsReport, core.AuditRefusal), nil)
	}
	all := len(w.trail())
	trim := func(before time.Time) int {
		t.Helper()
		w.told = nil
		w.must("", &command.TrimAudits{Before: before.UnixMilli()}, nil)
		var done command.Trimmed
		if err := command.DecodeOutcome(w.told, &done); err != nil {
			t.Fatal(err)
		}
		return int(done.Audits)
	}
	if n := trim(w.at.Add(time.Hour)); n != 0 {
		t.Errorf("%d audits of today left the trail", n)
	}
	w.at = w.at.Add(core.MinAuditAge + time.Second)
	w.must("", report(20, core.AuditRefusal), nil)
	for n, left := -1, 0; n != 0; left += n {
		if n = trim(w.at); n > 3*200 {
			t.Errorf("%d audits left the trail at once", n)
		}
		if n == 0 && left != all {
			t.Errorf("%d of %d audits left the trail", left, all)
		}
	}
	counted := int64(0)
	for k := range core.AuditKind(4) {
		c, _ := apply.Counters.Get(w.rows(), fmt.Sprintf("audits:%d", k))
		counted += c.Value
	}
	if n := int64(len(w.trail())); counted != n || n < 20 {
		t.Errorf("%d lines are counted, and there are %d", counted, n)
	}
}

// In the recorded histories every accepted command has left in the trail what the table of commands says, and each that
// always leaves an audit has left one.
func TestAudit_EveryCommand(t *testing.T) {
	logs, err := filepath.Glob(histories + "/v*.log.gz")
	if err != nil {
		t.Fatal(err)
	}
	wrote := map[reflect.Type]bool{}
	for _, file := range logs {
		m := applytest.NewModel()
		last := func() int64 {
			c, _ := apply.Counters.Get(apply.Direct{Store: m.Store}, "audits")
			return c.Value
		}
		for _, e := range read(t, file) {
			before := last()
			m.Take(e)
			_, c, err := command.Decode(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			n, trace, typ := last()-before, command.TraceOf(c), reflect.TypeOf(c).Elem()
			accepted := command.DecodeOutcome(m.Receipts[e.Index].Outcome, nil) == nil
			wrote[typ] = wrote[typ] || n > 0
			switch c.(type) {
			case *command.ReportAudits, *command.ReportRefusals:
				continue
			}
			switch {
			case (!accepted || trace.Kind == 0) && n > 0:
				t.Fatalf("%s, entry %d: %v left %d audits", file, e.Index, typ, n)
			}
		}
	}
	for _, typ := range command.Types() {
		if c := reflect.New(typ).Interface(); command.TraceOf(c).Kind != 0 && !command.TraceOf(c).OfOthers && !wrote[typ] && typ != reflect.TypeFor[command.RaiseVersion]() {
			t.Errorf("%v has left no audit", typ)
		}
	}
}

// An edge adds to the trail what an account was refused, for the accounts of the sessions that it can prove, and nothing
// that looks like something else. An account adds a bounded number of lines of that too.
func TestAudit_Refusals(t *testing.T) {
	w, _ := two(t)
	bob := w.users["bob"]
	refusal := core.Audit{Number: 9, Kind: core.AuditDeed, CreateAt: 5, UserID: w.users["ada"].ID, Actor: core.ActorHome, Action: "GET /api/v4/audits", Object: "team_id=x", Result: "no", Times: 1 << 40}
	from := len(w.trail())
	w.must("bob", &command.ReportRefusals{Refusals: []core.Audit{refusal}}, nil)
	got := w.trail()[from]
	want := core.Audit{
		Number: int64(from) + 1, Kind: core.AuditRefusal, CreateAt: w.at.UnixMilli(), UserID: bob.ID, SessionID: w.sessions["bob"],
		Action: refusal.Action, Object: refusal.Object, Result: refusal.Result, Times: core.MaxAuditTimes,
	}
	if got != want {
		t.Errorf("the refusal is %+v", got)
	}
	w.refused("", &command.ReportRefusals{Refusals: []core.Audit{refusal}}, core.KindUnauthorized)
	w.refused("bob", &command.ReportRefusals{}, core.KindInvalid)
	w.refused("bob", &command.ReportRefusals{Refusals: make([]core.Audit, core.MaxRefusals+1)}, core.KindInvalid)
	for _, wrong := range []core.Audit{{Action: refusal.Action}, {Action: "create_session", Result: "no"}, {Action: core.AuditMore, Result: "no"}, {Action: strings.Repeat("A", 160) + " /", Result: "no"}} {
		w.refused("bob", &command.ReportRefusals{Refusals: []core.Audit{wrong}}, core.KindInvalid)
	}
	for range 2 * core.MaxAuditsADay {
		w.must("bob", &command.ReportRefusals{Refusals: []core.Audit{refusal}}, nil)
	}
	if n := len(w.trail()) - from; n != core.MaxAuditsADay+3 {
		t.Errorf("bob's refusals have %d lines", n)
	}
}
