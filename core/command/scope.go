package command

import (
	"reflect"
	"unsafe"

	"github.com/nearside/nearside/core"
)

// Places says in which team or channel an object is. It gives the zero id for an unknown object.
type Places interface {
	TeamOfChannel(id core.ChannelID) core.TeamID
	ChannelOfPost(id core.PostID) core.ChannelID
	ChannelOfFile(id core.FileID) core.ChannelID
	ChannelOfUpload(id core.UploadID) core.ChannelID
}

// ScopeOf gives the scope of a command: the team of the objects that it names. The scope is the whole
// deployment if it names none, or objects of several teams. An edge derives the scope for the
// proposal; apply derives it again and refuses the entry if the two differ.
func ScopeOf(c Command, at Places) core.Scope {
	var s core.Scope
	p := reflect.ValueOf(c).UnsafePointer()
	for i, n := range namesOf[reflect.TypeOf(c).Elem()] {
		for j, team := range n.teams(unsafe.Add(p, n.offset), at) {
			if first := i == 0 && j == 0; first || team == s.Team {
				s.Team = team
				continue
			}
			return core.Scope{}
		}
	}
	return s
}

// name is a field of a command that has the id of an object in a team, or a list of such ids.
type name struct {
	offset uintptr
	typ    reflect.Type
	list   bool
}

// namesOf has the names of each type of command. The first of team, channel, post, file and upload
// that a command names decides; the id of a new object does not count.
var namesOf = func() map[reflect.Type][]name {
	out := make(map[reflect.Type][]name, len(table))
	for _, k := range table {
		for _, t := range []reflect.Type{
			reflect.TypeFor[core.TeamID](), reflect.TypeFor[core.ChannelID](), reflect.TypeFor[core.PostID](),
			reflect.TypeFor[core.FileID](), reflect.TypeFor[core.UploadID](),
		} {
			if out[k.typ] = named(k.typ, t, 0); out[k.typ] != nil {
				break
			}
		}
	}
	return out
}()

// named finds the first field of a type in a struct and in the nouns inside it.
func named(in, t reflect.Type, offset uintptr) []name {
	for f := range in.Fields() {
		at := offset + f.Offset
		switch {
		case f.Type == t && f.Name != "ID":
			return []name{{at, t, false}}
		case f.Type.Kind() == reflect.Slice && f.Type.Elem() == t:
			return []name{{at, t, true}}
		case f.Type.Kind() == reflect.Struct:
			if found := named(f.Type, t, at); found != nil {
				return found
			}
		}
	}
	return nil
}

// teams gives the teams of the objects that a field names.
func (n name) teams(p unsafe.Pointer, at Places) []core.TeamID {
	if !n.list {
		return []core.TeamID{team(n.typ, *(*[16]byte)(p), at)}
	}
	var out []core.TeamID
	for _, id := range *(*[][16]byte)(p) { // every id is 16 bytes
		if id != ([16]byte{}) {
			out = append(out, team(n.typ, id, at))
		}
	}
	return out
}

func team(t reflect.Type, id [16]byte, at Places) core.TeamID {
	var ch core.ChannelID
	switch t {
	case reflect.TypeFor[core.TeamID]():
		return id
	case reflect.TypeFor[core.ChannelID]():
		ch = id
	case reflect.TypeFor[core.PostID]():
		ch = at.ChannelOfPost(id)
	case reflect.TypeFor[core.FileID]():
		ch = at.ChannelOfFile(id)
	case reflect.TypeFor[core.UploadID]():
		ch = at.ChannelOfUpload(id)
	}
	return at.TeamOfChannel(ch)
}
