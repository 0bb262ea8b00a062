package replica_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/schema"
)

// mutants is a log of days with every command in them, and just before each command come mutations of it, as a hostile edge
// may send them.
type mutants struct {
	*applytest.Log
	entries         []core.Entry // what home ordered
	ofEach          int          // how many mutations of every command are tried
	days, day       int
	rnd             *rand.Rand
	pool            applytest.Pool
	tried, accepted map[reflect.Type]int
	everybody       []command.Caller
}

func newMutants(seed uint64, days, ofEach int) *mutants {
	m := &mutants{Log: applytest.NewLog(), ofEach: ofEach, days: days, rnd: rand.New(rand.NewPCG(seed, 7)), tried: map[reflect.Type]int{}, accepted: map[reflect.Type]int{}}
	for ; m.day < days; m.day++ {
		s := &applytest.Scene{Name: fmt.Sprint(m.day), Do: m.do}
		if m.day > 0 {
			s.Admin = m.everybody[0]
		}
		s.Play()
	}
	return m
}

func (m *mutants) do(by command.Caller, c command.Command) (made command.Made) {
	typ := reflect.TypeOf(c).Elem()
	m.pool.See(c)
	for len(m.everybody) > 0 && m.tried[typ] < (m.day+1)*m.ofEach/m.days { // the first account is the administrator's
		m.tried[typ]++
		as := by
		if m.rnd.IntN(20) == 0 {
			as = m.everybody[m.rnd.IntN(len(m.everybody))]
		}
		if m.order(as, m.pool.Mutate(m.rnd, c)) == nil {
			m.accepted[typ]++
		}
	}
	if c, ok := c.(*command.CreateSession); ok {
		m.everybody = append(m.everybody, command.Caller{Session: c.Session.ID})
	}
	if m.orderOwn(by, c) == nil && command.DecodeOutcome(m.Model.Receipts[m.Index].Outcome, &made) == nil && !made.ID.IsZero() {
		m.pool.SeeID(made.ID)
	}
	return made
}

// orderOwn orders a command of the day; what only home may propose does not come from an edge.
func (m *mutants) orderOwn(by command.Caller, c command.Command) error {
	if !command.FromHome(c) {
		return m.order(by, c)
	}
	m.entries = append(m.entries, m.Entry(by, c))
	return nil
}

func (m *mutants) order(by command.Caller, c command.Command) error {
	data, err := command.Encode(by, c)
	if err != nil {
		return err
	}
	e, err := m.Propose(data)
	if e.Index != 0 {
		m.entries = append(m.entries, e)
	}
	return err
}

// Whatever an edge sends, the database takes it, and replicas over PostgreSQL with a large and a small cache come to the
// digests and rows of one over maps. 200 mutations of every command are tried.
func TestReplica_Mutants(t *testing.T) {
	const ofEach = 200
	m := newMutants(1, 10, ofEach)
	for number, typ := range command.Types() {
		if m.tried[typ] < ofEach {
			t.Errorf("command %d, %v, was tried %d times: applytest.Scene must have it", number, typ, m.tried[typ])
		}
		if m.accepted[typ] < ofEach/40 && !command.FromHome(reflect.New(typ).Interface()) {
			t.Errorf("of command %d, %v, only %d mutations were accepted: the test says little", number, typ, m.accepted[typ])
		}
	}
	likeModel(t, m.entries, map[*schema.Shape]bool{})
}

// The same for any proposal that home would order, after a day with every command. It begins with mutations of every command.
func FuzzReplica_Proposal(f *testing.F) {
	m := newMutants(2, 1, 2)
	n := newNode(f, pgtest.Database(f))
	n.apply(f, m.entries...)
	for _, e := range m.entries {
		f.Add(e.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, _ := m.Propose(data)
		if e.Index == 0 {
			return // home refuses it
		}
		if _, err := n.Apply(t.Context(), []core.Entry{e}); err != nil {
			t.Fatal(err)
		}
		if got := n.Position().Digest; got != m.Model.Digest {
			t.Fatalf("the digest is %v, over maps %v", got, m.Model.Digest)
		}
	})
}
