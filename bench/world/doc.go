// Package world runs the built program as its users do, `nearside serve` and `nearside demo`,
// each as processes in a folder of its own, and looks at them from outside: through demo.json,
// /v1/status and /v1/tables.
//
// Concurrency: a World may be used by many goroutines. Lifecycle: Serve and Demo return once
// the program said that it is ready; Stop ends it and removes its folder.
package world
