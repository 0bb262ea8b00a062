package trail

import (
	"context"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/core/command"
)

// Bounds of what operators do for the audit trail.
const (
	maxDeeds     = 64  // that wait for home
	deedsAnHour  = 120 // of a node; more are refused, since a stolen node could fill the trail
	againEvery   = 5 * time.Second
	deedLimit    = 10 * time.Second
	deedMaxNodes = 1024
)

// Deed is what an operator has done at a node. The numbers are append-only.
type Deed struct {
	ID    core.ProposalID `cbor:"1,keyasint"` // the deed is in the trail once, however often it is told
	Audit core.Audit      `cbor:"2,keyasint"` // by whom, from where, what, on what and with what result
}

// hours counts the deeds of nodes in an hour.
type hours struct {
	hour  int64
	deeds map[string]int
}

var (
	noDeed   = core.E(core.KindInvalid, "this is nothing that an operator can have done")
	tooOften = core.E(core.KindLimit, "operators of this node have done too much in this hour for the audit trail")
)

// Tell adds to the trail what an operator has done at a node. A node is believed only what happens at its own
// administration, and the trail says which node it was.
func (t *Trail) Tell(ctx context.Context, node string, d Deed) error {
	a := core.Audit{Kind: core.AuditDeed, Actor: d.Audit.Actor, Address: d.Audit.Address, Action: d.Audit.Action, Object: "at=" + node, Result: d.Audit.Result}
	if d.Audit.Object != "" {
		a.Object += " " + d.Audit.Object
	}
	method, path, _ := strings.Cut(a.Action, " ")
	if a.Actor != core.ActorOperator && a.Actor != core.ActorToken || d.ID.IsZero() || method == "" || !strings.HasPrefix(path, "/v1/") {
		return noDeed
	}
	if !t.mayTell(node) {
		return tooOften
	}
	return t.order(ctx, d.ID, &command.ReportAudits{Audits: []core.Audit{a}}, nil)
}

func (t *Trail) mayTell(node string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if hour := time.Now().Unix() / 3600; t.told.hour != hour || t.told.deeds == nil {
		t.told = hours{hour, map[string]int{}}
	}
	if t.told.deeds[node] >= deedsAnHour || len(t.told.deeds) >= deedMaxNodes {
		return false
	}
	t.told.deeds[node]++
	return true
}

var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, MaxNestedLevels: 4}.DecMode()
	if err != nil {
		panic(err) // options are constants
	}
	return m
}()

// Question gives a deed as another node tells it home.
func (d Deed) Question() ([]byte, error) { return cbor.Marshal(d) }

// Answer adds to the trail what another node tells.
func (t *Trail) Answer(ctx context.Context, node string, question []byte) ([]byte, error) {
	var d Deed
	if err := decMode.Unmarshal(question, &d); err != nil {
		return nil, noDeed.WithCause(err)
	}
	return nil, t.Tell(ctx, node, d)
}

// Deeds hands what operators do at this node to home, one after the other and again until home has it. They wait in
// memory only.
type Deeds struct{ wait chan Deed }

// NewDeeds makes Deeds.
func NewDeeds() *Deeds { return &Deeds{wait: make(chan Deed, maxDeeds)} }

// Did notes what an operator has done; false if too much waits already.
func (d *Deeds) Did(a core.Audit) bool {
	select {
	case d.wait <- Deed{core.NewID[core.Proposal](time.Now()), a}:
		return true
	default:
		return false
	}
}

// Run hands on until ctx ends. tell gives a deed to home, and may be called again with the same one. lost is called with what
// home does not take, and with what is left.
func (d *Deeds) Run(ctx context.Context, tell func(context.Context, Deed) error, lost func(core.Audit, error)) error {
	for ctx.Err() == nil {
		select {
		case deed := <-d.wait:
			if err := hand(ctx, deed, tell); err != nil {
				lost(deed.Audit, err)
			}
		case <-ctx.Done():
		}
	}
	for len(d.wait) > 0 {
		lost((<-d.wait).Audit, context.Cause(ctx))
	}
	return nil
}

// hand gives a deed to home, again if home cannot be reached.
func hand(ctx context.Context, deed Deed, tell func(context.Context, Deed) error) error {
	for {
		limited, cancel := context.WithTimeout(ctx, deedLimit)
		err := tell(limited, deed)
		cancel()
		if k := core.KindOf(err); err == nil || k == core.KindInvalid || k == core.KindLimit || k == core.KindForbidden || k == core.KindNotBuilt {
			return err
		}
		if !backoff.Pause(ctx, againEvery) {
			return err
		}
	}
}
