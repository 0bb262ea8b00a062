// Package tasks finishes the work that entries began (core.Task): it looks for tasks and proposes
// their next pieces, one after another. core/apply decides what a piece does.
//
// Every home node runs a Worker, and only that of the leader works. If two nodes believe that they
// lead, nothing goes wrong: a piece always has the same proposal id, and a step that was done already
// changes nothing.
package tasks

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// atOnce is how many tasks are read together.
const atOnce = 16

// Config configures a Worker. The zero value of each optional field means its default.
type Config struct {
	Tasks   func(ctx context.Context, limit int) ([]core.Task, error)        // required: the oldest ones
	Propose func(ctx context.Context, p core.Proposal) (core.Receipt, error) // required: returns once this node has applied it
	Leads   func() bool                                                      // required: whether this node is the one to work
	Every   time.Duration                                                    // how often to look; default one second
	Logger  *slog.Logger                                                     // default: discard
}

// Worker proposes the next pieces of tasks.
type Worker struct{ cfg Config }

// New makes a Worker. It does nothing until Run.
func New(cfg Config) (*Worker, error) {
	if cfg.Tasks == nil || cfg.Propose == nil || cfg.Leads == nil {
		return nil, fmt.Errorf("tasks: Tasks, Propose and Leads are required")
	}
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Worker{cfg}, nil
}

// Run works until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := w.work(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Logger.Warn("tasks wait", "error", err)
		}
	}
}

// work goes on until nothing is left, or this node leads no longer.
func (w *Worker) work(ctx context.Context) error {
	for w.cfg.Leads() {
		list, err := w.cfg.Tasks(ctx, atOnce)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, t := range list {
			if err := w.step(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Worker) step(ctx context.Context, t core.Task) error {
	data, err := command.Encode(command.Caller{}, &command.ContinueTask{TaskID: t.ID, Step: t.Steps})
	if err != nil {
		return err
	}
	// A task with the same id may begin again later, so the proposal's id depends on its time.
	id := core.DeriveID[core.Proposal]("task", t.ID.String(), strconv.FormatInt(t.CreateAt, 10), strconv.FormatInt(t.Steps, 10))
	receipt, err := w.cfg.Propose(ctx, core.Proposal{ID: id, Data: data})
	if err != nil {
		return err
	}
	return command.DecodeOutcome(receipt.Outcome, nil)
}
