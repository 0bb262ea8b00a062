package core

// TaskKind says what a task does. Append-only.
type TaskKind int64

// The tasks.
const (
	TaskLeaveTeam    TaskKind = 1 // takes a former member out of the team's channels
	TaskDeleteThread TaskKind = 2 // deletes the replies of a deleted post
	TaskDropUpload   TaskKind = 3 // lets go of the parts of an upload that is over
)

// TaskID is the id of a task.
type TaskID = ID[Task]

// Task is work without a natural bound. The entry that begins it writes the task, and readers act at
// once as if the work were done. Later entries each do a bounded piece of the work; home proposes them
// one by one.
type Task struct {
	ID       TaskID   `cbor:"1,keyasint" db:"id"`
	Kind     TaskKind `cbor:"2,keyasint" db:"kind"`
	CreateAt int64    `cbor:"3,keyasint" db:"create_at"`
	Steps    int64    `cbor:"4,keyasint,omitempty" db:"steps"` // pieces done so far

	// The objects of the task; only the ids that its kind needs are set.
	TeamID   TeamID   `cbor:"5,keyasint" db:"team_id"`
	UserID   UserID   `cbor:"6,keyasint" db:"user_id"`
	PostID   PostID   `cbor:"7,keyasint" db:"post_id"`
	UploadID UploadID `cbor:"8,keyasint" db:"upload_id"`
}

// TaskIDOf gives the id of a task. It depends only on the kind and the objects, so there is at most
// one such task at a time.
func TaskIDOf(t Task) TaskID {
	return DeriveID[Task]("task", string(rune('0'+t.Kind)), t.TeamID.String(), t.UserID.String(), t.PostID.String(), t.UploadID.String())
}
