package read

import (
	"context"
)

// Budget bounds the memory of what is read for one request. Its error ends the reading.
type Budget interface{ Take(bytes int) error }

// BudgetKey is the key of the Budget in the context of a question; without one nothing is bounded.
type BudgetKey struct{}

// meter takes the bytes of rows from a budget, a few at a time.
type meter struct {
	budget Budget // may be nil
	bytes  int
}

// stride is how many bytes are taken at once: most answers are shorter, and cost the budget nothing.
const stride = 64 << 10

func meterOf(ctx context.Context) meter {
	b, _ := ctx.Value(BudgetKey{}).(Budget)
	return meter{budget: b}
}

func (m *meter) add(bytes int) error {
	if m.bytes += bytes; m.bytes < stride || m.budget == nil {
		return nil
	}
	taken := m.bytes
	m.bytes = 0
	return m.budget.Take(taken)
}
