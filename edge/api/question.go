package api

import (
	"context"
	"sync"
)

// questions lets requests share questions to home. One question runs at a time, and requests that
// come in the meantime share the next one, which is asked after they came. So a flood of unknown
// tokens costs home one question per round trip, however many clients it comes from.
type questions struct {
	turn chan struct{} // holds one element while a question is running

	mu   sync.Mutex // guards next
	next *question  // not asked yet
}

// question is a question that several requests share.
type question struct {
	done chan struct{} // closed when answered
	err  error         // valid once done is closed
}

func newQuestions() *questions { return &questions{turn: make(chan struct{}, 1)} }

// ask calls f, which must end by itself, or shares a call of it that begins after this one.
func (q *questions) ask(ctx context.Context, f func(context.Context) error) error {
	q.mu.Lock()
	mine := q.next
	first := mine == nil
	if first {
		mine = &question{done: make(chan struct{})}
		q.next = mine
	}
	q.mu.Unlock()
	if first {
		q.answer(context.WithoutCancel(ctx), mine, f) // others wait for it, so it must not end with this client
		return mine.err
	}
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (q *questions) answer(ctx context.Context, mine *question, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	defer close(mine.done)
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		mine.err = context.Cause(ctx)
	}
	q.mu.Lock()
	q.next = nil // a later request may need newer state than this question will return
	q.mu.Unlock()
	if mine.err == nil {
		mine.err = f(ctx)
	}
}
