package applytest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// Leaf is a field of a command that has one value, or a whole list, map or blob.
type Leaf struct {
	Path  string // such as CreateUser.User.Nickname
	Value reflect.Value
}

// Leaves gives the fields of a command, which may be set. A nil pointer in a patch is a field too.
func Leaves(c command.Command) []Leaf {
	v := reflect.ValueOf(c).Elem()
	return leaves(nil, v.Type().Name(), v)
}

func leaves(out []Leaf, path string, v reflect.Value) []Leaf {
	switch {
	case v.Type() == reflect.TypeFor[core.BlobRef]() || v.Kind() != reflect.Struct && v.Kind() != reflect.Slice:
		return append(out, Leaf{path, v})
	case v.Kind() == reflect.Slice:
		out = append(out, Leaf{path, v})
		if v.Len() > 0 && v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem() != reflect.TypeFor[core.BlobRef]() {
			return leaves(out, path+"[0]", v.Index(0))
		}
		return out
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch name := path + "." + f.Name; {
		case f.Tag.Get("cbor") == "-":
		case f.Anonymous:
			out = leaves(out, path, v.Field(i))
		default:
			out = leaves(out, name, v.Field(i))
		}
	}
	return out
}

// Pool has values that a hostile edge may put into fields: some that are at or over every limit, and those that it has
// seen in other commands.
type Pool struct {
	seen map[reflect.Type][]reflect.Value
}

// mostSeen is how many values of one type a pool keeps.
const mostSeen = 40

// See adds the values of a command.
func (p *Pool) See(c command.Command) {
	for _, l := range Leaves(c) {
		v := l.Value
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				continue
			}
			v = v.Elem()
		}
		p.add(v)
	}
}

// SeeID adds an id, for one that apply has made.
func (p *Pool) SeeID(id any) { p.add(reflect.ValueOf(id)) }

func (p *Pool) add(v reflect.Value) {
	if p.seen == nil {
		p.seen = map[reflect.Type][]reflect.Value{}
	}
	list := p.seen[v.Type()]
	if v.IsZero() || slices.ContainsFunc(list, func(o reflect.Value) bool { return reflect.DeepEqual(o.Interface(), v.Interface()) }) {
		return
	}
	fresh := reflect.New(v.Type()).Elem()
	fresh.Set(v)
	if list = append(list, fresh); len(list) > mostSeen {
		list = slices.Delete(list, mostSeen/2, mostSeen/2+1) // the first ones and the last ones
	}
	p.seen[v.Type()] = list
}

// Values gives values for a field: hostile ones, and some of those that were seen.
func (p *Pool) Values(now reflect.Value) []reflect.Value {
	t := now.Type()
	if t.Kind() == reflect.Pointer {
		var out []reflect.Value
		inner := reflect.New(t.Elem())
		if !now.IsNil() {
			inner = now
		}
		for _, v := range p.Values(inner.Elem()) {
			ptr := reflect.New(t.Elem())
			ptr.Elem().Set(v)
			out = append(out, ptr)
		}
		return append(out, reflect.Zero(t))
	}
	out := append(p.hostile(now), reflect.Zero(t))
	seen := p.seen[t]
	for i, v := range seen {
		if i < 3 || i >= len(seen)-3 {
			out = append(out, v)
		}
	}
	return out
}

// hostile gives values that are at or over a limit, or that some program could not take.
func (p *Pool) hostile(now reflect.Value) (out []reflect.Value) {
	t := now.Type()
	give := func(values ...any) {
		for _, v := range values {
			out = append(out, reflect.ValueOf(v).Convert(t))
		}
	}
	switch {
	case t == reflect.TypeFor[core.BlobRef]():
		was := now.Interface().(core.BlobRef)
		for _, size := range []int64{was.Size, 5, 0, -1, core.MaxFileBytes, core.MaxFileBytes + 1, 1 << 62, math.MaxInt64, math.MinInt64} {
			give(core.BlobRef{ID: core.BlobID{0xbb}, Size: size}, core.BlobRef{Size: size})
		}
	case t.Kind() == reflect.String:
		give(texts()...)
	case t.Kind() == reflect.Int64:
		give(1, -1, 1<<31, 1<<62, int64(math.MaxInt64), int64(math.MinInt64))
	case t.Kind() == reflect.Bool:
		give(!now.Bool())
	case t.Kind() == reflect.Array:
		odd := reflect.New(t).Elem()
		for i := range odd.Len() {
			odd.Index(i).SetUint(uint64(200 - i))
		}
		out = append(out, odd)
	case t == reflect.TypeFor[[]byte]():
		give([]byte{}, []byte{0}, make([]byte, 2048), make([]byte, 2049), make([]byte, 100_000))
	case t.Kind() == reflect.Slice:
		out = append(out, p.lists(now)...)
	case t == reflect.TypeFor[map[string]string]():
		give(map[string]string{}, map[string]string{"a": "b"}, many(2000), many(200))
		for _, s := range texts() {
			give(map[string]string{"a": s.(string)}, map[string]string{s.(string): "a"})
		}
	case t == reflect.TypeFor[map[string]any]():
		give(map[string]any{}, map[string]any{"a": 1.5, "deleteBy": "x", "from_webhook": "true", "b": []any{nil, true, map[string]any{}}}, deep(20), deep(40))
		for _, v := range append(texts(), math.NaN(), math.Inf(1), math.Copysign(0, -1), math.SmallestNonzeroFloat64, uint64(math.MaxUint64), int64(math.MinInt64), []byte{1}, make([]any, 9000)) {
			give(map[string]any{"a": v}, map[string]any{"a": []any{map[string]any{"b": v}}})
		}
	}
	return out
}

// texts gives texts that are short, long, at the limits of nouns and of PostgreSQL, and such as PostgreSQL refuses.
func texts() []any {
	out := []any{"x", "ada", "town-square", "O", "P", "link", "file", "attachment", "system_x", "custom_x", "system_admin system_user", "other@example.com",
		"https://example.com/a", "../../etc/passwd", "a b", "#tag @ada", " ", "\x00", "a\x00b", "\xff", "\xed\xa0\x80", "\u202e\u200b", "\ufffe", "İIıǅ",
		"\x1b[31m", "'; DROP TABLE posts; --", "{\"a\":1}"}
	for _, n := range []int{1, 2, 8, 16, 26, 32, 64, 128, 250, 255, 256, 500, 512, 1000, 1024, 2000, 2047, 2048, 2704, 4000, 16383, 20000, 65536} {
		out = append(out, strings.Repeat("a", n), strings.Repeat("b", n+1))
	}
	for _, n := range []int{64, 128, 250, 256, 500, 1000, 1024, 16383, 16384} {
		out = append(out, strings.Repeat("漢", n), strings.Repeat("Ⱥ", n), strings.Repeat("😀", n))
	}
	return append(out, strings.Repeat("a b.c/d@e.f-g ", 4600), strings.Repeat("b", 200_000), strings.Repeat("ä ", 20_000))
}

func many(n int) map[string]string {
	out := map[string]string{}
	for i := range n {
		out[string(rune(0x4e00+i))] = ""
	}
	return out
}

func deep(n int) map[string]any {
	out := map[string]any{}
	for range n {
		out = map[string]any{"a": out}
	}
	return out
}

// lists gives lists: without elements, with the ones that are there twice, with elements that were seen, and very long ones.
func (p *Pool) lists(now reflect.Value) (out []reflect.Value) {
	t := now.Type()
	out = append(out, reflect.MakeSlice(t, 0, 0), reflect.AppendSlice(now.Slice3(0, now.Len(), now.Len()), now))
	elem := reflect.New(t.Elem()).Elem()
	if now.Len() > 0 {
		elem.Set(now.Index(0))
	}
	for _, n := range []int{1, 10, 11, 100, 101, 4000, 16_000} {
		list := reflect.MakeSlice(t, n, n)
		for i := range n {
			list.Index(i).Set(elem)
		}
		out = append(out, list)
	}
	if t.Elem().Kind() == reflect.Struct {
		return out
	}
	for _, v := range append(p.hostile(elem), p.seen[t.Elem()]...) {
		out = append(out, reflect.Append(reflect.MakeSlice(t, 0, 1), v))
	}
	return out
}

// taken has the fields whose value only one object can have. A mutation gets another one: otherwise it would be refused
// as soon as one like it was accepted.
var taken = regexp.MustCompile(`^Create\w+\.(\w+\.ID|User\.Username|User\.Email|Team\.Name|Channel\.Name)$`)

// Mutate gives a copy of a command with one or a few fields changed.
func (p *Pool) Mutate(rnd *rand.Rand, c command.Command) command.Command {
	c = Copy(c)
	all := Leaves(c)
	for _, l := range all {
		switch {
		case !taken.MatchString(l.Path):
		case l.Value.Kind() == reflect.String:
			l.Value.SetString(fmt.Sprintf("m%x%s", rnd.Uint64(), l.Value.String()))
		default:
			for i := range l.Value.Len() {
				l.Value.Index(i).SetUint(rnd.Uint64N(256))
			}
		}
	}
	for n := 1 + rnd.IntN(2)*rnd.IntN(3); n > 0 && len(all) > 0; n-- {
		l := all[rnd.IntN(len(all))]
		values := p.Values(l.Value)
		l.Value.Set(values[rnd.IntN(len(values))])
	}
	return c
}

// Copy gives a copy of a command that shares nothing with it.
func Copy(c command.Command) command.Command {
	data, err := command.Encode(command.Caller{}, c)
	if err != nil {
		panic(err)
	}
	if _, c, err = command.Decode(data); err != nil {
		panic(err)
	}
	return c
}
