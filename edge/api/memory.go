package api

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/turn"
	"github.com/nearside/nearside/edge/hot"
)

// The memory of answers under way: of this edge, and of one account or of the strangers at one address. A
// row counts threefold, because besides itself its JSON is held, and that again compressed. The largest
// page takes about half of what one account may.
const (
	answersBytes = 512 << 20
	answersOfOne = 128 << 20
	forms        = 3
)

// What an answer can be refused for.
var (
	ownAnswers  = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.limit.app_error"}.With("reason", "answers").WithCause(hot.ErrCaller)
	manyAnswers = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.unavailable.app_error"}.With("reason", "answers").WithCause(hot.ErrCaller)
)

// memory counts the bytes of all answers under way.
type memory struct {
	refused *prometheus.CounterVec // by whose share was used up

	mu  sync.Mutex // guards everything below
	all int
	of  map[turn.Who]int
}

func newMemory(reg prometheus.Registerer) *memory {
	m := &memory{of: map[turn.Who]int{}}
	f := promauto.With(reg)
	m.refused = f.NewCounterVec(prometheus.CounterOpts{
		Name: "nearside_api_answers_refused_total", Help: "Answers given up because too much memory was in use, by whose share was used up.",
	}, []string{"share"})
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "nearside_api_answers_bytes", Help: "Memory of large answers under way."}, func() float64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		return float64(m.all)
	})
	return m
}

func (m *memory) take(who turn.Who, n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.of[who]+n > answersOfOne:
		m.refused.WithLabelValues("own").Inc()
		return ownAnswers
	case m.all+n > answersBytes:
		m.refused.WithLabelValues("all").Inc()
		return manyAnswers
	}
	m.all += n
	m.of[who] += n
	return nil
}

func (m *memory) give(who turn.Who, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all -= n
	if m.of[who] -= n; m.of[who] == 0 {
		delete(m.of, who)
	}
}

// answer is what is read for one request. It implements read.Budget.
type answer struct {
	call *Call

	mu    sync.Mutex // guards everything below; nearly always one goroutine reads
	who   turn.Who   // set with the first bytes
	bytes int
}

// Take implements read.Budget.
func (a *answer) Take(bytes int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes == 0 {
		a.who = a.call.Who()
	}
	if err := a.call.api.memory.take(a.who, bytes*forms); err != nil {
		return err
	}
	a.bytes += bytes * forms
	return nil
}

// hold counts bytes in place of everything that was taken before.
func (a *answer) hold(bytes int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes == 0 {
		a.who = a.call.Who()
	} else {
		a.call.api.memory.give(a.who, a.bytes)
	}
	a.bytes = 0
	if err := a.call.api.memory.take(a.who, bytes); err != nil {
		return err
	}
	a.bytes = bytes
	return nil
}

// release gives the memory back when the answer has been sent.
func (a *answer) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes > 0 {
		a.call.api.memory.give(a.who, a.bytes)
	}
}
