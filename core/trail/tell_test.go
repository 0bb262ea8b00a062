package trail_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/trail"
)

func deed(action string) trail.Deed {
	return trail.Deed{ID: core.ProposalID{1}, Audit: core.Audit{
		UserID: core.UserID{1}, SessionID: core.SessionID{1}, Actor: core.ActorOperator, Address: "socket", Action: action, Object: "node=virginia-2", Times: 7,
	}}
}

// A node can say what its operators have done at its own administration, and nothing else: not in the name of an account,
// of home, or of another node, and not without an end.
func TestTell_OnlyDeedsOfOperators(t *testing.T) {
	tr, h := start(t)
	question, err := deed("POST /v1/home/remove").Question()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Answer(t.Context(), "edge-1", question); err != nil {
		t.Fatal(err)
	}
	want := core.Audit{Kind: core.AuditDeed, Actor: core.ActorOperator, Address: "socket", Action: "POST /v1/home/remove", Object: "at=edge-1 node=virginia-2"}
	if got := h.reports[0]; len(got) != 1 || got[0] != want {
		t.Errorf("in the trail: %+v", got)
	}
	wrong := []trail.Deed{deed("create_session"), deed("POST /api/v4/users"), deed(" /v1/home"), {ID: core.ProposalID{1}}, {Audit: deed("POST /v1/x").Audit}}
	for _, actor := range []string{core.ActorHome, ""} {
		d := deed("POST /v1/home/add")
		d.Audit.Actor = actor
		wrong = append(wrong, d)
	}
	for _, d := range wrong {
		if err := tr.Tell(t.Context(), "edge-1", d); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%+v: %v", d, err)
		}
	}
	if _, err := tr.Answer(t.Context(), "edge-1", []byte{0xff}); core.KindOf(err) != core.KindInvalid {
		t.Errorf("noise: %v", err)
	}
	told := 1
	for range 1000 {
		if err = tr.Tell(t.Context(), "edge-1", deed("POST /v1/cdn/purge")); err != nil {
			break
		}
		told++
	}
	if core.KindOf(err) != core.KindLimit || told > 240 { // two hours may have begun
		t.Errorf("a node tells of %d deeds, and then: %v", told, err)
	}
	if err := tr.Tell(t.Context(), "edge-2", deed("POST /v1/cdn/purge")); err != nil {
		t.Errorf("another node: %v", err)
	}
}

// Deeds are told in their order, with the same id again while home cannot be reached, and not what home does not take.
// What is left at the end is not lost silently.
func TestDeeds_Told(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := trail.NewDeeds()
		var told, lost []string
		ids := map[core.ProposalID]int{}
		ctx, cancel := context.WithCancel(t.Context())
		tell := func(_ context.Context, deed trail.Deed) error {
			ids[deed.ID]++
			switch {
			case deed.Audit.Action == "bad":
				return core.E(core.KindInvalid, "no")
			case deed.Audit.Action == "last":
				cancel()
				return errors.New("away")
			case deed.Audit.Action == "a" && ids[deed.ID] < 3:
				return core.E(core.KindUnavailable, "away")
			}
			told = append(told, deed.Audit.Action)
			return nil
		}
		for _, action := range []string{"a", "bad", "b", "last", "c"} {
			if !d.Did(core.Audit{Action: action}) {
				t.Fatal("there is no place")
			}
		}
		if err := d.Run(ctx, tell, func(a core.Audit, err error) { lost = append(lost, a.Action) }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(told, " ") + "; " + strings.Join(lost, " "); got != "a b; bad last c" || len(ids) != 4 {
			t.Errorf("told and lost: %s, %d deeds", got, len(ids))
		}
		for d.Did(core.Audit{}) {
			told = append(told, "")
		}
		if len(told) > 100 {
			t.Errorf("%d deeds wait", len(told))
		}
	})
}
