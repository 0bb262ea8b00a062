// Package chaos kills parts of a running demo under load, and uses package check to find out whether a
// promise was broken.
//
// Writers post at a steady rate through every edge. As clients do, a writer sends a failed write again
// with the same pending id, and through the next edge if its own does not answer, until the write is
// acknowledged or its time is over.
//
// Concurrency: Storm belongs to one goroutine. Lifecycle: Run returns when every writer has
// ended and every replica was read.
package chaos
