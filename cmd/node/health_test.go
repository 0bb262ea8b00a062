package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/eventually"
)

// A node is ready only while its answers are right; of several reasons the worst is given.
func TestCondition_WorstFirst(t *testing.T) {
	for want, c := range map[string]condition{
		stateReady:      {serving: true},
		stateStarting:   {},
		stateStuck:      {serving: true, stuck: "upgrade this node", rebuilding: true, database: "gone"},
		stateRebuilding: {serving: true, rebuilding: true, differs: "three digests"},
		stateDiffers:    {serving: true, differs: "three digests", database: "gone"},
		stateDatabase:   {database: "gone"},
		stateRefused:    {serving: true, refused: "revoked", readOnly: "no leader"},
	} {
		got, reason := c.state()
		if got != want || (reason == "") != (want == stateReady || want == stateStarting) {
			t.Errorf("%+v: %q, %q; want %q", c, got, reason, want)
		}
	}
}

func testNode(t *testing.T) *Node {
	t.Helper()
	n, err := New(Config{Name: "n", Region: "r", Roles: []string{RoleHome}, Data: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n.update(func(p *parts) { p.serving = true })
	return n
}

func readiness(n *Node) (int, string) {
	w := httptest.NewRecorder()
	n.readyz(w, nil)
	body, _ := io.ReadAll(w.Body)
	return w.Code, strings.TrimSpace(string(body))
}

// An entry of a newer version does not end the node: it goes on serving, and says that it must be upgraded.
func TestStanding_UnknownEntry_NodeStays(t *testing.T) {
	n := testNode(t)
	if code, text := readiness(n); code != http.StatusOK || text != "ready" {
		t.Fatalf("at first: %d %s", code, text)
	}
	_, _, unknown := command.Decode([]byte{0xff})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.standing(func(context.Context) error { return unknown })(ctx) }()
	eventually.True(t, "it says that it is stuck", func() bool { return n.stuck.Load() != nil })
	if code, text := readiness(n); code != http.StatusServiceUnavailable || !strings.Contains(text, "upgrade this node") {
		t.Errorf("stuck: %d %s", code, text)
	}
	if st := n.Status(); st.State != stateStuck || !strings.Contains(st.Reason, "upgrade this node") {
		t.Errorf("status: %+v", st)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	other := core.E(core.KindDiverged, "outvoted")
	if err := n.standing(func(context.Context) error { return other })(t.Context()); !errors.Is(err, other) {
		t.Errorf("another error: %v", err)
	}
}

// A database that does not answer is noticed, and so is its return.
func TestAskDatabase_AwayAndBack(t *testing.T) {
	n := testNode(t)
	n.askDatabase(t.Context(), func(context.Context) error { return errors.New("connection refused") })
	if code, text := readiness(n); code != http.StatusServiceUnavailable || !strings.Contains(text, "connection refused") {
		t.Errorf("away: %d %s", code, text)
	}
	n.askDatabase(t.Context(), func(context.Context) error { return nil })
	if code, text := readiness(n); code != http.StatusOK {
		t.Errorf("back: %d %s", code, text)
	}
}
