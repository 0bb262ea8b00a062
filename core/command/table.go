package command

import (
	"fmt"
	"reflect"
	"slices"
)

// table gives each command its number, and says what it leaves in the audit trail. Append-only: never renumber, never reuse.
var table = []kind{
	row[CreateUser](1, audited),
	row[PatchUser](2, audited),
	row[RaiseVersion](3, audited),
	row[ContinueTask](4, silent),
	row[VerifyEmail](5, audited),
	row[CreateSession](10, signsIn),
	row[EndSession](11, signsIn),
	row[CountAttempts](12, silent),
	row[ReportAudits](13, silent),
	row[TrimAudits](14, audited),
	row[ReportRefusals](15, silent),
	row[CreateTeam](20, audited),
	row[PatchTeam](21, audited),
	row[AddTeamMember](22, ofOthers),
	row[RemoveTeamMember](23, ofOthers),
	row[DeleteTeam](24, audited),
	row[CreateChannel](30, audited),
	row[PatchChannel](31, audited),
	row[DeleteChannel](32, audited),
	row[AddChannelMember](33, ofOthers),
	row[RemoveChannelMember](34, ofOthers),
	row[ViewChannel](35, silent),
	row[CreatePost](40, silent),
	row[PatchPost](41, ofOthers),
	row[DeletePost](42, ofOthers),
	row[SetPreferences](50, silent),
	row[DeletePreferences](51, silent),
	row[AddReaction](60, silent),
	row[RemoveReaction](61, ofOthers),
	row[CreateFile](70, silent),
	row[ShareFile](71, audited),
	row[ExpireLinks](72, audited),
	row[CreateUpload](73, silent),
	row[AppendUpload](74, silent),
	row[FinishUpload](75, silent),
	row[SetUserImage](76, ofOthers),
	row[CreateBookmark](80, silent),
	row[PatchBookmark](81, silent),
	row[SortBookmark](82, silent),
	row[DeleteBookmark](83, silent),
	row[AdmitNodes](90, audited),
	row[RenewNode](91, audited),
	row[RevokeNode](92, audited),
}

// kind is one row of the table.
type kind struct {
	number Number
	typ    reflect.Type // of the struct
	trace  trace        // what it leaves in the audit trail
	since  int64        // version of the log from which on it may be proposed
}

// row makes a command's row: its number, what it leaves in the audit trail, and since which version of the log there
// is the command, if it is not the first.
func row[C any](n Number, t trace, since ...int64) kind {
	return kind{n, reflect.TypeFor[C](), t, slices.Max(append(since, 1))}
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
