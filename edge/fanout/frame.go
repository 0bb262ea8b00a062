package fanout

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge/catalogue"
)

// message is an event or a reply, sent to one socket or to many. It is never changed.
type message struct {
	event     *event.Encoded // nil: a reply
	reply     []byte         // has no number and is not kept for a resume
	droppable bool           // may be dropped if the socket is slow
}

// frame is a message for one socket.
type frame struct {
	msg *message // nil: a ping
	own event.Own
}

func encode(ev event.Event, to *event.Audience) (*message, error) {
	enc, err := event.Encode(ev, to, catalogue.Message)
	_, droppable := ev.(event.Droppable)
	return &message{event: enc, droppable: droppable}, err
}

// append appends the message as one recipient gets it, with its number.
func (f frame) append(b []byte, u core.UserID, seq int64) []byte {
	if f.msg.event == nil {
		return append(b, f.msg.reply...)
	}
	return f.msg.event.Append(b, f.own, u, seq)
}

// numbered reports whether the frame is an event: only events have numbers and are kept for a
// resume.
func (f frame) numbered() bool { return f.msg != nil && f.msg.event != nil }

// size is the bytes that a frame counts in a queue.
func (f frame) size() int {
	switch {
	case f.msg == nil:
		return 0
	case f.msg.event == nil:
		return len(f.msg.reply) + 64
	}
	return f.msg.event.Size() + 64
}
