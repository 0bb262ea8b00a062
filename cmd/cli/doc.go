// Package cli is the command line: it reads flags, starts a node or a demo, or asks running nodes. An
// error becomes a message that says what to do next, and an exit code.
//
// Exit codes: 0 done, 1 failed, 2 used wrongly. Results go to standard output, everything else
// to standard error. Every command that prints a table prints JSON with -o json.
//
// Lifecycle: Main runs one command. SIGINT and SIGTERM end its context, and the command stops
// cleanly; a second signal ends the process at once.
package cli
