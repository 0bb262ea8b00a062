// Package event is what applying announces: one type per event, and the in-memory tail that carries
// events in log order.
//
// A type of event knows its name on the wire, whom it is for, the data that each audience gets, and,
// by methods that the kinds of effect name, what caches must forget. Its form is kept in
// testdata/events.txt. Lists in an event are bounded by what the command may hold.
//
// A Tail is a linked list of batches. Publishing never blocks and holds no queue per reader: a
// Cursor is a pointer into the list, so a slow reader costs memory only for what it has not
// read yet, and the oldest batches go when the last cursor passes them.
//
// Concurrency: Tail and Cursor creation are safe for concurrent use; one Cursor belongs to one
// goroutine. Published batches are shared and must not be changed.
package event
