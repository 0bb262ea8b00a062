package node_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// A post made at one edge appears at the other, and afterwards every replica is at one
// position with one digest and the same rows.
func TestWorld_PostAtOneEdge_AppearsAtTheOther(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt", "singapore"}, Latency: 0.1})
	frankfurt, singapore := w.Node("edge-frankfurt"), w.Node("edge-singapore")
	ann := frankfurt.Client(t).SignUp("ann")
	team, square := ann.Room("crew")
	bob := singapore.Client(t).SignUp("bob")
	bob.Position = ann.Position // he knows of the team
	bob.Join(team)
	for i := range 5 {
		ann.Post(square.ID, fmt.Sprint("ann ", i))
		bob.Post(square.ID, fmt.Sprint("bob ", i))
	}
	w.WaitConverged(t)
	atAnn, atBob := ann.Messages(square.ID), bob.Messages(square.ID)
	if diff := cmp.Diff(atAnn, atBob); diff != "" || len(atAnn) != 10 {
		t.Errorf("frankfurt and singapore differ, or not 10 posts (-frankfurt +singapore):\n%s%v", diff, atAnn)
	}
	first := w.Nodes()[0].Database()
	for _, n := range w.Nodes()[1:] {
		differences, err := pgtest.Compare(t.Context(), first, n.Database())
		if err != nil || len(differences) > 0 {
			t.Errorf("tables of %s and %s differ: %v %v", w.Nodes()[0].Name, n.Name, differences, err)
		}
	}
}

// Each replica decodes a command once. The leader decodes it once more to check it, whichever home node the edge
// sent it to.
func TestWorld_Post_IsDecodedOncePerReplicaAndOnceToCheck(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"virginia", "frankfurt", "singapore"}})
	ann := w.Node("edge-virginia").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	for _, name := range []string{"edge-virginia", "edge-frankfurt", "edge-singapore"} {
		ann = ann.At(w.Node(name))
		ann.Post(square.ID, "the first at an edge may do more")
		w.Until("a post of one entry", func() error {
			was, begun := w.WaitConverged(t), command.Decoded()
			ann.Post(square.ID, "hello")
			entries, got := w.WaitConverged(t).Index-was.Index, command.Decoded()-begun
			if entries != 1 {
				return fmt.Errorf("%d entries", entries) // a slow answer: the edge asked two home nodes
			}
			if got != 7 {
				return fmt.Errorf("%d decodings in 6 nodes", got)
			}
			return nil
		})
	}
}

// A user who moves to another edge finds there what they have just written, however far it is.
func TestWorld_MovingToAnotherEdge_ReadsOwnWrites(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt", "singapore"}, Latency: 1})
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	for i := range 5 {
		message := fmt.Sprint("hop ", i)
		ann.Post(square.ID, message)
		ann = ann.At(w.Node([]string{"edge-singapore", "edge-frankfurt"}[i%2]))
		if got := ann.Messages(square.ID); !slices.Contains(got, message) {
			t.Fatalf("%q is missing at %s: %v", message, ann.URL, got)
		}
	}
}

// An edge that is cut off from home goes on answering reads and refuses writes with 503 and Retry-After.
// When the link works again, writes work too.
func TestWorld_EdgeCutOff_ReadsOnAndRefusesWrites(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt", "tokyo"}})
	far := w.Node("edge-tokyo")
	ann := far.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	ann.Post(square.ID, "before")
	far.Cut()
	w.Until("the cut to be noticed", func() error {
		if far.Status().Connected {
			return fmt.Errorf("still connected")
		}
		return nil
	})
	if got := ann.Messages(square.ID); !slices.Contains(got, "before") {
		t.Errorf("cut off, it no longer shows what it has: %v", got)
	}
	a := ann.Do("POST", "/posts", map[string]string{"channel_id": square.ID.String(), "message": "while cut off"})
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("cut off, a write gets %d with Retry-After %q: %s", a.Status, a.Header.Get("Retry-After"), a.Body)
	}
	far.Heal()
	ann.Post(square.ID, "after")
	if got := ann.Messages(square.ID); !slices.Contains(got, "after") || slices.Contains(got, "while cut off") {
		t.Errorf("after the cut: %v", got)
	}
	w.WaitConverged(t)
}

// An edge that starts empty, after the beginning of the log was removed, takes a snapshot and then follows.
func TestWorld_EmptyEdgeAndCompactedLog_BootsBySnapshot(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt", "tokyo"}, Tuning: compacting})
	late := w.Node("edge-tokyo")
	late.Stop()
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	writeUntilCompacted(t, w, ann, square.ID)
	late.Empty()
	late.Restart()
	ann.Post(square.ID, "last")
	w.WaitConverged(t)
	if got := ann.At(late).Messages(square.ID); !slices.Contains(got, "last") {
		t.Errorf("the late edge shows %v", got)
	}
}

// compacting makes the log short as soon as possible.
var compacting = node.Tuning{SnapshotEvery: 200 * time.Millisecond, SnapshotThreshold: 16, TrailingLogs: 8}

// writeUntilCompacted posts until the beginning of the log is removed.
func writeUntilCompacted(t *testing.T, w *nodetest.World, c *nodetest.Client, channel core.ChannelID) {
	t.Helper()
	for i := range 40 {
		c.Post(channel, fmt.Sprint("entry ", i))
	}
	home := w.Leader()
	w.Until("compaction", func() error {
		if first := home.Status().Home.First; first > 8 {
			return nil
		} else {
			return fmt.Errorf("the log begins at %d", first)
		}
	})
}

// An edge whose replica differs from the history that it follows refuses all clients until it is rebuilt, and
// then has the same state as the others.
func TestWorld_DivergedEdge_Rebuilds(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt", "tokyo"}})
	bad := w.Node("edge-tokyo")
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	ann.Post(square.ID, "true")
	w.WaitConverged(t)
	bad.Stop()
	bad.Spoil()
	bad.Restart()
	ann.Post(square.ID, "after")
	w.WaitConverged(t)
	if got := ann.At(bad).Messages(square.ID); !slices.Contains(got, "true") || !slices.Contains(got, "after") {
		t.Errorf("the rebuilt edge shows %v", got)
	}
}

// A home node whose replica differs from those of the others stops, and at its next start makes a new one
// from the log. Followers would not notice, because the log is the same everywhere.
func TestWorld_DivergedHomeNode_Rebuilds(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt"}})
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	ann.Post(square.ID, "true")
	w.WaitConverged(t)
	bad := w.Nodes()[0]
	bad.Stop()
	bad.Spoil()
	bad.Begin()
	if err := bad.Wait(); core.KindOf(err) != core.KindDiverged {
		t.Fatalf("it ended with %v", err)
	}
	bad.Restart()
	ann.Post(square.ID, "after")
	w.WaitConverged(t)
	for _, n := range w.Nodes() {
		differences, err := pgtest.Compare(t.Context(), bad.Database(), n.Database())
		if err != nil || len(differences) > 0 {
			t.Errorf("tables of %s and %s differ: %v %v", bad.Name, n.Name, differences, err)
		}
	}
}

// When the leader is killed, another home node leads, and nothing that was acknowledged is lost.
func TestWorld_LeaderKilled_LosesNothing(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt"}})
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	var want []string
	for i := range 3 {
		message := fmt.Sprint("before ", i)
		ann.Post(square.ID, message)
		want = append(want, message)
	}
	leader := w.Leader()
	leader.Kill()
	ann.Post(square.ID, "after")
	leader.Restart()
	w.WaitConverged(t)
	got := ann.Messages(square.ID)
	for _, m := range append(want, "after") {
		if n := count(got, m); n != 1 {
			t.Errorf("%q is there %d times: %v", m, n, got)
		}
	}
}

// A home node that has lost its database, or all its data, gets the state from the others and takes part in
// ordering again.
func TestWorld_HomeNodeLosesItsData_IsRebuilt(t *testing.T) {
	for name, lose := range map[string]func(*nodetest.Node){
		"database":   (*nodetest.Node).LoseDatabase,
		"everything": (*nodetest.Node).Empty,
	} {
		t.Run(name, func(t *testing.T) {
			w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt"}, Tuning: compacting})
			ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
			_, square := ann.Room("crew")
			writeUntilCompacted(t, w, ann, square.ID)
			unlucky := w.Nodes()[0]
			if w.Leader() == unlucky {
				unlucky = w.Nodes()[1]
			}
			unlucky.Stop()
			lose(unlucky)
			unlucky.Restart()
			ann.Post(square.ID, "after")
			w.WaitConverged(t)
			w.Leader().Kill() // now the rebuilt node is needed for a majority
			ann.Post(square.ID, "with it")
		})
	}
}

func count(list []string, s string) (n int) {
	for _, m := range list {
		if m == s {
			n++
		}
	}
	return n
}

// Two nodes never share a data directory: the error of the second one names the process that uses it.
func TestNode_DirectoryInUse_NamesTheProcess(t *testing.T) {
	dir := t.TempDir()
	unlock, err := node.Lock(dir, node.LockFile)
	if err != nil {
		t.Fatal(err)
	}
	_, err = node.Lock(dir, node.LockFile)
	want := fmt.Sprintf("%s is in use by process %d; stop it first, or give another directory with --data", dir, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	unlock()
	again, err := node.Lock(dir, node.LockFile)
	if err != nil {
		t.Fatalf("after it was given back: %v", err)
	}
	again()
}
