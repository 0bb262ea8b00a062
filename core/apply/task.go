package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// Tasks has the work that later entries finish.
var Tasks = table[core.TaskID, core.Task]("tasks", "id")

// steps has for each kind of task the function that does one piece; it reports whether nothing is left.
var steps = map[core.TaskKind]func(*exec, core.Task) (done bool){
	core.TaskLeaveTeam:    leaveChannels,
	core.TaskDeleteThread: deleteReplies,
	core.TaskDropUpload:   dropParts,
}

// beginTask does the first piece of a task, and keeps the task if something is left.
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
