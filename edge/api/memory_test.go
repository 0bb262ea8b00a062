package api

import (
	"errors"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/hot"
)

// Regression: answers of 95 MB each took 2.8 GB. One account can have only so much memory for its answers under
// way, and all together only so much; what is sent gives it back.
func TestMemory_Shares(t *testing.T) {
	a := &API{memory: newMemory(nil)}
	request := func(user byte) *answer {
		return &answer{call: &Call{api: a, User: core.User{ID: core.UserID{user}}}}
	}
	const page = answersOfOne / forms / 2
	first, second, third := request(1), request(1), request(1)
	for _, r := range []*answer{first, second} {
		if err := r.Take(page); err != nil {
			t.Fatal(err)
		}
	}
	if err := third.Take(page); core.KindOf(err) != core.KindLimit || !errors.Is(err, hot.ErrCaller) {
		t.Errorf("a third page of one account: %v", err)
	}
	var others []*answer
	var last error
	for u := byte(2); last == nil && u < 100; u++ {
		r := request(u)
		if last = r.Take(page); last == nil {
			others = append(others, r)
		}
	}
	if core.KindOf(last) != core.KindUnavailable || len(others) != answersBytes/(page*forms)-2 {
		t.Errorf("%d pages of others, then %v", len(others), last)
	}
	first.release()
	if err := third.Take(page); err != nil {
		t.Errorf("after an answer was sent: %v", err)
	}
	for _, r := range append(others, second, third) {
		r.release()
	}
	if a.memory.all != 0 || len(a.memory.of) != 0 {
		t.Errorf("%d bytes are left", a.memory.all)
	}
}

// What a request reads, or a context made from its, finds the request's budget.
func TestLimit_HasTheBudget(t *testing.T) {
	l := &limit{Context: t.Context(), answer: new(answer)}
	defer l.end()
	if b, ok := (&Call{Context: l}).Value(read.BudgetKey{}).(read.Budget); !ok || b != read.Budget(l.answer) {
		t.Errorf("%v", b)
	}
}
