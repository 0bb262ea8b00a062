package command

import (
	"fmt"
	"reflect"
	"slices"
)

// table gives each command its number. Append-only: never renumber, never reuse.
var table = []kind{
	row[CreateUser](1),
	row[PatchUser](2),
	row[RaiseVersion](3),
	row[ContinueTask](4),
	row[VerifyEmail](5),
	row[CreateSession](10),
	row[EndSession](11),
	row[CountAttempts](12),
	row[CreateTeam](20),
	row[PatchTeam](21),
	row[AddTeamMember](22),
	row[RemoveTeamMember](23),
	row[DeleteTeam](24),
	row[CreateChannel](30),
	row[PatchChannel](31),
	row[DeleteChannel](32),
	row[AddChannelMember](33),
	row[RemoveChannelMember](34),
	row[ViewChannel](35),
	row[CreatePost](40),
	row[PatchPost](41),
	row[DeletePost](42),
	row[SetPreferences](50),
	row[DeletePreferences](51),
	row[AddReaction](60),
	row[RemoveReaction](61),
	row[CreateFile](70),
	row[ShareFile](71),
	row[ExpireLinks](72),
	row[CreateUpload](73),
	row[AppendUpload](74),
	row[FinishUpload](75),
	row[SetUserImage](76),
	row[CreateBookmark](80),
	row[PatchBookmark](81),
	row[SortBookmark](82),
	row[DeleteBookmark](83),
}

// kind is one row of the table.
type kind struct {
	number Number
	typ    reflect.Type // of the struct
	since  int64        // version of the log from which on it may be proposed
}

// row makes a command's row: its number, and since which version of the log there is the command, if
// it is not the first.
func row[C any](n Number, since ...int64) kind {
	return kind{n, reflect.TypeFor[C](), slices.Max(append(since, 1))}
}

var (
	byNumber = index(func(k kind) Number { return k.number })
	byType   = index(func(k kind) reflect.Type { return reflect.PointerTo(k.typ) })
)

func index[K comparable](key func(kind) K) map[K]kind {
	out := make(map[K]kind, len(table))
	for _, k := range table {
		if other, taken := out[key(k)]; taken {
			panic(fmt.Sprintf("commands %v and %v share a row's number or type", other.typ, k.typ))
		}
		out[key(k)] = k
	}
	return out
}

// Types gives the struct types of all commands by their numbers.
func Types() map[Number]reflect.Type {
	out := make(map[Number]reflect.Type, len(table))
	for _, k := range table {
		out[k.number] = k.typ
	}
	return out
}

// NumberOf gives a command's number; 0 when it has no row.
func NumberOf(c Command) Number { return byType[reflect.TypeOf(c)].number }

var mapType = reflect.TypeFor[map[string]any]()
