package command

import (
	"reflect"
	"strings"
	"unicode"
	"unsafe"

	"github.com/nearside/nearside/core"
)

// ReportAudits adds to the audit trail what is no command: failed sign-ins, which home sums up so that who goes on
// trying does not fill the log, and what operators do. Only home proposes it.
type ReportAudits struct {
	Audits []core.Audit `cbor:"1,keyasint"` // apply decides numbers and times
}

// ReportRefusals adds to the audit trail what the caller was refused permission for. An edge sums that up. It is proposed on
// behalf of the one who was refused, so an edge can say it only of people who use it.
type ReportRefusals struct {
	Refusals []core.Audit `cbor:"1,keyasint"` // operation, object, refusal and how often; apply decides the rest
}

// TrimAudits removes audits from the trail that are older than a time. Only home proposes it, because only home says for
// how long the trail goes back. Result: Trimmed.
type TrimAudits struct {
	Before int64 `cbor:"1,keyasint"` // Unix milliseconds
}

// Trimmed is the result of TrimAudits: how many audits it has removed. There may be more.
type Trimmed struct {
	Audits int64 `cbor:"1,keyasint,omitempty"`
}

// trace says what a command leaves in the audit trail when it is accepted. A refused one leaves nothing by itself.
type trace byte

const (
	silent   trace = iota + 1 // nothing
	audited                   // an audit
	ofOthers                  // an audit if it is about the account or the thing of somebody else than the caller
	signsIn                   // an audit of the kind AuditSignIn
)

// Trace is what a command leaves in the audit trail.
type Trace struct {
	Kind     core.AuditKind // 0: nothing
	Action   string
	OfOthers bool // only if the caller does it to somebody else

	object []objectName
}

// objectName is a field of a command that says on what it acts.
type objectName struct {
	offset uintptr
	name   string // as it is called in an audit; nodeName and nodeNames for nodes
}

// Nodes have no ids, but names.
const (
	nodeName  = "node"
	nodeNames = "nodes"
)

// tracesOf has the trace of each type of command.
var tracesOf = func() map[reflect.Type]Trace {
	out := make(map[reflect.Type]Trace, len(table))
	for _, k := range table {
		t := Trace{Kind: core.AuditDeed, Action: snake(k.typ.Name()), OfOthers: k.trace == ofOthers, object: objectOf(k.typ)}
		switch k.trace {
		case silent:
			t.Kind = 0
		case signsIn:
			t.Kind = core.AuditSignIn
		case audited, ofOthers:
		default:
			panic("it is not decided what " + k.typ.Name() + " leaves in the audit trail")
		}
		out[reflect.PointerTo(k.typ)] = t
	}
	return out
}()

// TraceOf gives what a command leaves in the audit trail.
func TraceOf(c Command) Trace { return tracesOf[reflect.TypeOf(c)] }

// objectOf finds what says on what a command acts: the ids that it names itself, the id of the noun that it makes, and the
// name of a node. Other fields of a noun may be set to anything, and have no effect.
func objectOf(t reflect.Type) (out []objectName) {
	for f := range t.Fields() {
		switch {
		case f.Name == "Name" && strings.HasSuffix(t.Name(), "Node"):
			out = append(out, objectName{f.Offset, nodeName})
		case f.Type == reflect.TypeFor[[]core.Node]():
			out = append(out, objectName{f.Offset, nodeNames})
		case idName(f.Type) != "":
			out = append(out, objectName{f.Offset, idName(f.Type)})
		case f.Type.Kind() == reflect.Struct && !f.Anonymous:
			if id, ok := f.Type.FieldByName("ID"); ok && idName(id.Type) != "" {
				out = append(out, objectName{f.Offset + id.Offset, idName(id.Type)})
			}
		}
	}
	return out
}

var idTypes = map[reflect.Type]string{
	reflect.TypeFor[core.UserID](): "user_id", reflect.TypeFor[core.TeamID](): "team_id", reflect.TypeFor[core.ChannelID](): "channel_id",
	reflect.TypeFor[core.PostID](): "post_id", reflect.TypeFor[core.FileID](): "file_id", reflect.TypeFor[core.BookmarkID](): "bookmark_id",
}

// idName gives the name of an id of an object that people know; "" for all else.
func idName(t reflect.Type) string { return idTypes[t] }

// Object says on what a command acts, as "team_id=... user_id=...".
func (t Trace) Object(c Command) string {
	var parts []string
	p := reflect.ValueOf(c).UnsafePointer()
	for _, f := range t.object {
		at := unsafe.Add(p, f.offset)
		switch f.name {
		case nodeName:
			parts = append(parts, "node="+*(*string)(at))
		case nodeNames:
			for _, n := range *(*[]core.Node)(at) {
				parts = append(parts, "node="+n.Name)
			}
		default:
			if id := *(*core.UserID)(at); !id.IsZero() { // every id has the form of a user's
				parts = append(parts, f.name+"="+id.String())
			}
		}
	}
	object := strings.Join(parts, " ")
	return strings.ToValidUTF8(object[:min(len(object), core.MaxAuditObject)], "")
}

// Subject gives the account that a command is about; zero if it names none.
func (t Trace) Subject(c Command) (u core.UserID) {
	for _, f := range t.object {
		if f.name == "user_id" {
			u = *(*core.UserID)(unsafe.Add(reflect.ValueOf(c).UnsafePointer(), f.offset))
		}
	}
	return u
}

// snake writes "PatchUser" as "patch_user".
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
