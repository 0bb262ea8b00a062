// Package world runs the built program as users do, with `nearside serve` and `nearside demo`, each in a
// folder of its own, and observes it through demo.json, /v1/status and /v1/tables.
//
// Concurrency: a World may be used by many goroutines. Lifecycle: Serve and Demo return once
// the program said that it is ready; Stop ends it and removes its folder.
package world
