package chaos_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nearside/nearside/bench/chaos"
	"github.com/nearside/nearside/bench/world"
)

// When leaders, edges and databases are killed under load, nothing is lost or doubled, and all replicas
// have the same history and the same tables afterwards.
func TestStorm_LosesAndDoublesNothing(t *testing.T) {
	program := os.Getenv("NEARSIDE")
	if program == "" {
		t.Skip("NEARSIDE names no built program: `make test` and `make chaos` set it")
	}
	path, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	for victim, kills := range map[chaos.Victim]int{chaos.Leader: 10, chaos.Edge: 3, chaos.Database: 4, chaos.Follower: 2, chaos.Frozen: 2} {
		t.Run(string(victim), func(t *testing.T) {
			w, err := world.Demo(t.Context(), path, "--latency", "none")
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := w.Stop(); err != nil {
					t.Error(err)
				}
			}()
			r, err := chaos.Storm{World: w, Victim: victim, Kills: kills, Rate: 100, Say: t.Logf}.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Acked < kills*20 {
				t.Errorf("only %d of %d writes were acknowledged: that proves little", r.Acked, r.Writes)
			}
			for _, f := range r.Findings {
				t.Error(f)
			}
		})
	}
}
