package apply

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/schema"
)

// The price of an entry: how much it may read and write. Rows are counted in the same way on every
// replica, whatever is cached. Work without a natural bound becomes a task (see task.go), so only a
// bug or a hostile edge comes near these limits.
const (
	maxRows  = 4000
	maxBytes = 16 << 20
)

// maxEvents bounds how many events one entry announces.
const maxEvents = 1000

// Prepared is an entry whose command has been decoded.
type Prepared struct {
	Entry   core.Entry
	By      command.Caller
	Command command.Command
}

// Prepare decodes an entry's command. Its error means that the entry cannot be understood: the
// replica must stop.
func Prepare(e core.Entry) (Prepared, error) {
	if e.Void != nil {
		return Prepared{Entry: e}, nil // whatever it is, it is skipped
	}
	by, cmd, err := command.Decode(e.Data)
	if err != nil {
		return Prepared{}, fmt.Errorf("entry %d: %w", e.Index, err)
	}
	if handlers[reflect.TypeOf(cmd)] == nil {
		return Prepared{}, fmt.Errorf("entry %d: %w", e.Index, core.E(core.KindUpgrade, "upgrade this node: it cannot apply command %d", command.NumberOf(cmd)))
	}
	if v, ok := cmd.(*command.RaiseVersion); ok && v.To > core.LogVersion {
		return Prepared{}, fmt.Errorf("entry %d: %w", e.Index, core.E(core.KindUpgrade, "upgrade this node: it understands log version %d, and the log goes on in version %d", core.LogVersion, v.To))
	}
	return Prepared{e, by, cmd}, nil
}

// Sealed gives the entry's sealed values that its command names. At an edge there are none.
func (p *Prepared) Sealed() (named [][]byte) {
	if len(p.Entry.Sealed) == 0 {
		return nil
	}
	seals := command.Seals(p.Command)
	for _, v := range p.Entry.Sealed {
		if slices.Contains(seals, core.SealOf(v)) {
			named = append(named, v)
		}
	}
	return named
}

// Effects is what applying an entry gave.
type Effects struct {
	Outcome  []byte // an encoded command.Outcome
	Accepted bool   // it was not refused
	Decision []byte // what the digest covers: see core.Digest.Next; valid until the next entry
	Events   []event.Event
	Fault    *Fault // a bug of ours that made the entry a refusal; nil: none
}

// Fault is a panic in a handler, for the node's log.
type Fault struct {
	Value any
	Stack []byte
}

// Machine applies entries to a store, one after the other.
type Machine struct{ x exec }

// NewMachine makes a machine over a store.
func NewMachine(store Store) *Machine { return &Machine{x: exec{store: store}} }

// Apply applies an entry. A refusal is not an error but an outcome, and leaves the store as it was.
func (m *Machine) Apply(p Prepared) (Effects, error) {
	x := &m.x
	x.begin(p)
	x.store.Mark()
	if p.Entry.Void != nil {
		return x.skip()
	}
	result, refusal := x.run(p.Command)
	if refusal != nil {
		x.store.Revert()
		result, x.events, x.decision = nil, nil, refusalDigest(x.decision[:0], refusal)
	}
	outcome, err := command.EncodeOutcome(result, refusal)
	if err != nil {
		return Effects{}, fmt.Errorf("entry %d: %w", p.Entry.Index, err)
	}
	return Effects{Outcome: outcome, Accepted: refusal == nil, Decision: x.decision, Events: x.events, Fault: x.fault}, nil
}

// refusalDigest gives the part of a refusal that the digest covers: its kind and id. Its arguments
// only fill in the text.
func refusalDigest(b []byte, refusal *core.Error) []byte {
	b = append(b, 'R')
	b = binary.BigEndian.AppendUint16(b, uint16(refusal.Kind))
	return append(b, refusal.ID...)
}

// exec is one entry being applied.
type exec struct {
	store    Store
	entry    core.Entry
	now      int64 // the entry's time in Unix milliseconds
	by       command.Caller
	user     core.User   // set by caller()
	owner    core.UserID // set by belongsTo()
	events   []event.Event
	minted   int // ids derived from the entry
	rows     int // read or written
	bytes    int
	decision []byte
	fault    *Fault
	key      [256]byte
}

func (x *exec) begin(p Prepared) {
	x.entry, x.now, x.by, x.user, x.owner = p.Entry, p.Entry.At.UnixMilli(), p.By, core.User{}, core.UserID{}
	x.events, x.minted, x.rows, x.bytes, x.fault = nil, 0, 0, 0, nil
	x.decision = x.decision[:0]
}

// refused is the panic that ends a handler when it is over a limit of a row or of the price.
type refused struct{ *core.Error }

// run calls the handler. A panic in it is a bug of ours, but it happens on every replica. So every
// replica refuses the entry, instead of all of them stopping there for ever.
func (x *exec) run(c command.Command) (result any, refusal *core.Error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case refused:
			result, refusal = nil, p.Error
		default:
			x.fault = &Fault{Value: p, Stack: debug.Stack()}
			result, refusal = nil, core.AsError(internalFault)
		}
	}()
	if scope := command.ScopeOf(c, places{x}); scope != x.entry.Scope {
		return nil, core.AsError(wrongScope)
	}
	result, err := handlers[reflect.TypeOf(c)](x, c)
	if err != nil {
		return nil, core.AsError(err)
	}
	if len(x.decision) > 0 { // it has changed something
		x.trace(c)
	}
	return result, nil
}

func (x *exec) scratch() []byte { return x.key[:0] }

// pay counts a row.
func (x *exec) pay(t *schema.Shape, row schema.Row) {
	x.rows++
	if row != nil {
		x.bytes += t.Size(row)
	}
	if x.rows > maxRows || x.bytes > maxBytes {
		panic(refused{tooMuch})
	}
}

func (x *exec) get(t *schema.Shape, key []byte) schema.Row {
	if zero(key) { // the id that stands for no object
		return nil
	}
	row := x.store.Get(t, key)
	x.pay(t, row)
	return row
}

func zero(key []byte) bool {
	for _, b := range key {
		if b != 0 {
			return false
		}
	}
	return true
}

func (x *exec) list(i *schema.IndexShape, value []byte) []schema.Row {
	rows := x.store.List(i, value)
	x.rows++
	for _, row := range rows {
		x.pay(i.Of, row)
	}
	return rows
}

// put writes a row after checking its limits. If an edge forgot one, PostgreSQL would refuse the row
// and all replicas would stop.
func (x *exec) put(t *schema.Shape, key []byte, row schema.Row, fresh bool) {
	if column := t.Check(row); column != "" {
		panic(refused{badRequest.With("reason", "over_limit", "field", column)})
	}
	x.pay(t, row)
	x.decide('P', t, key)
	x.decision = t.AppendDigest(x.decision, row)
	if fresh {
		x.store.Insert(t, key, row)
		return
	}
	x.store.Put(t, key, row)
}

func (x *exec) remove(t *schema.Shape, key []byte) {
	x.pay(t, nil)
	x.decide('D', t, key)
	x.store.Delete(t, key)
}

// decide adds a write to what the digest covers: writes in their order, by table and key.
func (x *exec) decide(what byte, t *schema.Shape, key []byte) {
	x.decision = append(x.decision, what, byte(len(t.Name)))
	x.decision = append(x.decision, t.Name...)
	x.decision = binary.AppendUvarint(x.decision, uint64(len(key)))
	x.decision = append(x.decision, key...)
}

// ScopeOf derives the scope of a command from the state of a store.
func ScopeOf(s Store, c command.Command) core.Scope { return command.ScopeOf(c, places{Direct{s}}) }

// places implements command.Places.
type places struct{ x access }

func (p places) TeamOfChannel(id core.ChannelID) core.TeamID {
	ch, _ := Channels.Get(p.x, id)
	return ch.TeamID
}

func (p places) ChannelOfPost(id core.PostID) core.ChannelID {
	post, _ := Posts.Get(p.x, id)
	return post.ChannelID
}

func (p places) ChannelOfFile(id core.FileID) core.ChannelID {
	f, _ := Files.Get(p.x, id)
	return f.ChannelID
}

func (p places) ChannelOfUpload(id core.UploadID) core.ChannelID {
	up, _ := Uploads.Get(p.x, id)
	return up.ChannelID
}

// caller gives the user that the command is on behalf of, or refuses.
func (x *exec) caller() (core.User, error) {
	if !x.user.ID.IsZero() {
		return x.user, nil
	}
	s, ok := Sessions.Get(x, x.by.Session)
	if !ok || x.by.Session.IsZero() || s.Expired(x.now) {
		return core.User{}, sessionOver
	}
	u, ok := Users.Live(x, s.UserID)
	if !ok {
		return core.User{}, accountClosed
	}
	x.user = u
	return u, nil
}

// version gives the version of the log at the entry. Rules of a later version have no effect yet.
func (x *exec) version() int64 { return max(1, x.count(VersionCounter)) }

// emit announces an event.
func (x *exec) emit(e event.Event) {
	if len(x.events) == maxEvents {
		panic(refused{tooMuch})
	}
	x.events = append(x.events, e)
}

// add changes a counter and gives its new value.
func (x *exec) add(counter string, by int64) int64 {
	c, _ := Counters.Get(x, counter)
	c.Name = counter
	c.Value += by
	Counters.Put(x, c)
	return c.Value
}

func (x *exec) count(counter string) int64 {
	c, _ := Counters.Get(x, counter)
	return c.Value
}

// may refuses unless the user's system roles allow p.
func (x *exec) may(u core.User, p authz.Permission) error {
	if authz.Allows(p, u.Roles) {
		return nil
	}
	return forbidden
}

// mayInTeam refuses unless the user's system roles or roles in the team allow p.
func (x *exec) mayInTeam(u core.User, t core.TeamID, p authz.Permission) error {
	if authz.Allows(p, u.Roles, x.teamRoles(u.ID, t)) {
		return nil
	}
	return forbidden
}

// mayInChannel refuses unless system roles, or roles in the channel or its team, allow p. The
// roles of a team, and of the channels in it, count only for people still in the team.
func (x *exec) mayInChannel(u core.User, c core.Channel, p authz.Permission) error {
	team := x.teamRoles(u.ID, c.TeamID)
	channel := ""
	if team != "" || c.TeamID.IsZero() {
		channel = x.channelRoles(u.ID, c.ID)
	}
	if authz.Allows(p, u.Roles, channel, team) {
		return nil
	}
	return forbidden
}

func (x *exec) teamRoles(u core.UserID, t core.TeamID) string {
	if t.IsZero() {
		return ""
	}
	if m, ok := TeamMembers.Live(x, TeamUser{t, u}); ok {
		return m.Roles()
	}
	return ""
}

func (x *exec) channelRoles(u core.UserID, c core.ChannelID) string {
	if m, ok := ChannelMembers.Get(x, ChannelUser{c, u}); ok {
		return m.Roles()
	}
	return ""
}
