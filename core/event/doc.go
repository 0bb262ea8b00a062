// Package event is what applying announces: one type per event, and the in-memory tail that carries
// events in log order.
//
// A type of event knows its name for clients, its audiences, and the data that each of them gets. It
// has a method for each kind of effect that it has on caches. testdata/events.txt has the form of
// every event. Lists in an event are bounded, because those of its command are.
//
// A Tail is a linked list of batches. Publishing never blocks and holds no queue per reader: a
// Cursor is a pointer into the list, so a slow reader costs memory only for what it has not
// read yet, and the oldest batches go when the last cursor passes them.
//
// Concurrency: Tail and Cursor creation are safe for concurrent use; one Cursor belongs to one
// goroutine. Published batches are shared and must not be changed.
package event
