// Package event is what applying announces: named facts for clients with their audience,
// effects for the edge's own caches, and the in-memory tail that carries both in log order.
//
// A Tail is a linked list of batches. Publishing never blocks and holds no queue per reader: a
// Cursor is a pointer into the list, so a slow reader costs memory only for what it has not
// read yet, and the oldest batches go when the last cursor passes them.
//
// Concurrency: Tail and Cursor creation are safe for concurrent use; one Cursor belongs to one
// goroutine. Published batches are shared and must not be changed.
package event
