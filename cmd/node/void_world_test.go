package node_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node/nodetest"
)

// forbid makes the database of a node refuse posts that say "poison".
func forbid(t *testing.T, n *nodetest.Node) {
	t.Helper()
	db := n.Database()
	for _, sql := range []string{
		`CREATE FUNCTION nearside.forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not with me'; END $$`,
		`CREATE TRIGGER forbid BEFORE INSERT ON nearside.posts FOR EACH ROW WHEN (new.message = 'poison') EXECUTE FUNCTION nearside.forbid()`,
	} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// An entry that every database at home refuses stops all writes. Every home node says where and why, the metrics too, and
// `nearside log show` shows the entry without its text. After the order to skip it, home and the edge, whose database would
// have taken the entry, go on with the same rows; the edge learns of the order with the entry. So do a home node that was
// away and one whose database is new.
func TestVoid_Deployment(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 3, Edges: []string{"tokyo"}})
	edge := w.Node("edge-tokyo")
	ann := edge.Client(t).SignUp("ann")
	_, room := ann.Room("crew")
	ann.Post(room.ID, "before")
	w.WaitConverged(t)
	for _, n := range w.Nodes() {
		if n.IsHome() {
			forbid(t, n)
		}
	}
	refused := make(chan nodetest.Answer, 1)
	go func() {
		refused <- ann.Do("POST", "/posts", map[string]any{"channel_id": room.ID, "message": "poison"})
	}()
	for _, n := range w.Nodes() {
		if n.IsHome() {
			wantReady(w, n, http.StatusServiceUnavailable, "stuck: entry ")
			wantReady(w, n, http.StatusServiceUnavailable, "(CreatePost) cannot be applied: the database refuses it: not with me")
		}
	}
	lead := func() *nodetest.Node {
		for _, n := range w.Nodes() {
			if st := n.Status(); st.Home != nil && st.Home.State == "Leader" {
				return n
			}
		}
		return w.Nodes()[0]
	}
	at := lead().Status().Position.Index
	var e admin.LogEntry
	w.Until("the entry to be found", func() error {
		at++
		if status := lead().Admin(t, "GET", fmt.Sprint("/v1/log/", at), "", &e); status != http.StatusOK || e.Command != "CreatePost" {
			return fmt.Errorf("%d at %d: %+v", status, at, e)
		}
		return nil
	})
	if raw := fmt.Sprint(e); strings.Contains(raw, "poison") || e.Fields["Post.Message"] != "(text of 6 bytes)" || e.Fields["Post.ChannelID"] != room.ID.String() {
		t.Errorf("shown is %+v", e)
	}
	if status := lead().Admin(t, "POST", fmt.Sprintf("/v1/log/%d/void", at-1), `{"reason":"wrong"}`, nil); status != http.StatusConflict {
		t.Errorf("another entry: %d", status)
	}
	w.Until("the order to be given", func() error {
		if status := lead().Admin(t, "POST", fmt.Sprintf("/v1/log/%d/void", at), `{"reason":"a test wants it"}`, &e); status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	if e.Void == nil || e.Void.Reason != "a test wants it" {
		t.Errorf("shown is %+v", e)
	}
	if a := <-refused; a.Status < 400 {
		t.Errorf("the post that was skipped: %d %s", a.Status, a.Body)
	}
	ann.Post(room.ID, "after")
	w.WaitConverged(t)
	for _, n := range w.Nodes() {
		wantReady(w, n, http.StatusOK, "ready")
		var reason string
		if err := n.Database().QueryRow(t.Context(), "SELECT reason FROM nearside.voids").Scan(&reason); err != nil || reason != "a test wants it" {
			t.Errorf("%s keeps %q, %v", n.Name, reason, err)
		}
	}
	if got := ann.Messages(room.ID); strings.Join(got, " ") != "after before" && strings.Join(got, " ") != "before after" {
		t.Errorf("the channel says %q", got)
	}

	fresh := w.Nodes()[0]
	fresh.Stop()
	fresh.Empty()
	fresh.Restart()
	w.WaitConverged(t)
}
