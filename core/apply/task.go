package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// Tasks is work that later entries finish.
var Tasks = table[core.TaskID, core.Task]("tasks")

// steps is what each kind of task does in one piece; true says that nothing is left.
var steps = map[core.TaskKind]func(*exec, core.Task) (done bool){
	core.TaskLeaveTeam:    leaveChannels,
	core.TaskDeleteThread: deleteReplies,
	core.TaskDropUpload:   dropParts,
}

// begin does the first piece of a task, and keeps the task when something is left.
func (x *exec) beginTask(t core.Task) {
	t.ID, t.CreateAt = core.TaskIDOf(t), x.now
	x.step(t)
}

func (x *exec) step(t core.Task) {
	if steps[t.Kind](x, t) {
		Tasks.Delete(x, t.ID)
		return
	}
	t.Steps++
	Tasks.Put(x, t)
}

func continueTask(x *exec, c *command.ContinueTask) (any, error) {
	if t, ok := Tasks.Get(x, c.TaskID); ok && t.Steps == c.Step {
		x.step(t)
	}
	return nil, nil
}
