// Package chaos breaks a running demo under load and lets the judge of package check say
// whether a promise broke with it.
//
// Writers post at a steady rate through every edge. A write that fails is sent again with the
// same pending id, through the next edge when its own does not answer, as clients do, until it
// is acknowledged or its patience ends.
//
// Concurrency: Storm belongs to one goroutine. Lifecycle: Run returns when every writer has
// ended and every replica was read.
package chaos
