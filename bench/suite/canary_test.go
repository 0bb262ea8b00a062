//go:build canary

package main

import (
	"sync"
	"testing"
)

// This race is here to be found: a run of it that passes means that the race detector is not on.
func TestCanary_Races(t *testing.T) {
	n := 0
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { n++ })
	}
	wg.Wait()
	t.Log(n)
}

// This function is here to be found: a run of deadcode that does not name it finds nothing.
func canaryUnreached() {}
