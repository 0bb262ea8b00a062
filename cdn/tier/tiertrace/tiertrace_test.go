package tiertrace

import "testing"

// The tier's hit ratio is at least 0.93 of an oracle's, and higher than LRU's, with or without a
// scan.
func TestRun_NearTheOracle(t *testing.T) {
	for name, scan := range map[string]bool{"popular": false, "popular and a scan": true} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				r := Run(Config{Seed: seed, Scan: scan})
				t.Logf("seed %d: tier %.4f, LRU %.4f, oracle %.4f: %.3f of the oracle over %d reads", seed, r.Tier, r.LRU, r.Oracle, r.Of(), r.Reads)
				if r.Of() < 0.93 || r.Tier <= r.LRU {
					t.Errorf("seed %d: tier %.4f, LRU %.4f, oracle %.4f", seed, r.Tier, r.LRU, r.Oracle)
				}
			}
		})
	}
}
