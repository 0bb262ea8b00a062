//go:build canary

package main

import (
	"sync"
	"testing"
)

// The race detector must find this race: if this test passes, the race detector does not work.
func TestCanary_Races(t *testing.T) {
	n := 0
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { n++ })
	}
	wg.Wait()
	t.Log(n)
}

// deadcode must name this function: if it does not, deadcode does not work.
func canaryUnreached() {}
