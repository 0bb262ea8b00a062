package replica

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg"
)

// stuckAfter is how often an entry must have failed until the replica says that it is stuck there.
const stuckAfter = 3

// panicked is a panic outside of a handler. It would stop the process, and the next one at the same entry.
type panicked struct {
	value any
	stack []byte
}

// Error gives the value that was panicked with.
func (p *panicked) Error() string { return fmt.Sprint("panic: ", p.value) }

// withoutPanic makes an error of a panic.
func (r *Replica) withoutPanic(f func() ([]core.Receipt, error)) (receipts []core.Receipt, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.store.Drop()
			r.stale, r.doubt = true, nil
			receipts, err = nil, &panicked{p, debug.Stack()}
		}
	}()
	return f()
}

// faultOf gives the part of an error that says that entries cannot be applied, however often it is tried: the database has
// refused them, or our code has panicked. It is nil for any other error. It has no values of the entries in it.
func faultOf(err error) error {
	var p *panicked
	if errors.As(err, &p) {
		return p
	}
	if why := pg.Refusal(err); why != "" {
		return errors.New(why)
	}
	return nil
}

// Stuck gives the entry that could not be applied again and again; nil if there is none.
func (r *Replica) Stuck() *core.Stuck { return r.stuck.Load() }

// noteStuck counts a failure of an entry that is alone in its batch.
func (r *Replica) noteStuck(e core.Entry, why error) *core.Stuck {
	s := &core.Stuck{Index: e.Index, Command: nameOf(e.Data), Cause: why}
	if r.failing != e.Index {
		r.failing, r.failed = e.Index, 0
	}
	if r.failed++; r.failed == stuckAfter {
		args := []any{"index", s.Index, "command", s.Command, "error", why}
		var p *panicked
		if errors.As(why, &p) {
			args = append(args, "stack", string(p.stack))
		}
		r.log.Error("an entry cannot be applied; this node comes no further until it is mended or the entry is skipped (nearside log void)", args...)
	}
	if r.failed >= stuckAfter {
		r.stuck.Store(s)
		r.metrics.stuck.Set(float64(s.Index))
	}
	return s
}

// free notes that entries were applied.
func (r *Replica) free(some bool) {
	if some && r.failed > 0 {
		r.failing, r.failed = 0, 0
		r.metrics.stuck.Set(0)
		if r.stuck.Swap(nil) != nil {
			r.log.Info("the log is applied again", "at", r.Position().String())
		}
	}
}

// nameOf gives the name of a command.
func nameOf(data []byte) string {
	_, c, err := command.Decode(data)
	if err != nil {
		return "a command that cannot be read"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", c), "*command.")
}
