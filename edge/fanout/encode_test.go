package fanout

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Each shape of an event has exactly the kept wire form.
func TestEncode_Golden(t *testing.T) {
	u, v, ch, tm := user(1), user(2), channel(1), team(1)
	post := core.Post{ID: core.DeriveID[core.Post]("p"), UserID: u, ChannelID: ch, Message: "\"hi\" <b> \\ \u2028 \x00é", CreateAt: 5}
	str := func(k, v string) event.Field { return event.Field{Key: k, Value: v} }
	all := []struct {
		ev  event.Event
		own extras
	}{
		{ev: event.Event{Name: "posted", Audience: event.Audience{Channel: ch}, Data: []event.Field{str("channel_type", "O"), {Key: "post", Value: post, JSON: true}, {Key: "set_online", Value: true}, str("team_id", "")}}},
		{own: withMentions | withFollowers, ev: event.Event{Name: "posted", Audience: event.Audience{Channel: ch}, Data: []event.Field{str("sender_name", "@a")}}},
		{own: withMentions, ev: event.Event{Name: "no_data"}},
		{ev: event.Event{Name: "post_deleted", Audience: event.Audience{Channel: ch, AdminsOnly: true}, Data: []event.Field{str("delete_by", u.String())}}},
		{ev: event.Event{Name: "post_deleted", Audience: event.Audience{Channel: ch, OthersOnly: true}}},
		{ev: typing(u, ch, core.PostID{})},
		{ev: event.Event{Name: "leave_team", Audience: event.Audience{Team: tm, Omit: []core.UserID{u, v}}, Data: []event.Field{str("team_id", tm.String())}}},
		{ev: event.Event{Name: "multiple_channels_viewed", Audience: event.Audience{User: u}, Data: []event.Field{{Key: "channel_times", Value: map[string]int64{"b": 2, "a": 1}}}}},
		{ev: event.Event{Name: "sidebar_category_order_updated", Audience: event.Audience{User: u, Team: tm}, Data: []event.Field{{Key: "order", Value: []string{"x", "y"}}}}},
		{ev: event.Event{Name: "channel_deleted", Audience: event.Audience{Team: tm}, Data: []event.Field{{Key: "delete_at", Value: int64(1700000000000)}}}},
		{ev: event.Event{Name: "preferences_changed", Audience: event.Audience{User: u}, Data: []event.Field{{Key: "preferences", Value: []core.Preference{{UserID: u, Category: "c", Name: "n", Value: "v"}}, JSON: true}}}},
		{ev: event.Event{Name: "user_updated", Data: []event.Field{{Key: "user", Value: core.User{ID: u, Username: "a"}}}}},
		{ev: event.Event{Name: "quoted", Data: []event.Field{{Key: "text", Value: "plain", JSON: true}, {Key: "flag", Value: true, JSON: true}, str("bad", "a\xffb")}}},
	}
	var out strings.Builder
	for i, tc := range all {
		enc, err := encode(&tc.ev)
		if err != nil {
			t.Fatal(err)
		}
		text := frame{enc: enc, own: tc.own}.append(nil, v, int64(i))
		parse(t, string(text))
		out.Write(append(text, '\n'))
	}
	const path = "testdata/events.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), out.String()); diff != "" {
		t.Error(diff)
	}
}

// An event that cannot be encoded is left out; those after it come.
func TestHub_UnencodableEvent(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	_, wire := register(t, h, client(user(1)), Resume{})
	w.publish(event.Event{Name: "bad", Data: []event.Field{{Key: "f", Value: func() {}}}}, fence(user(1)))
	if got := seqs(wire.count(t, 2)); got != "hello0 fence1 " {
		t.Errorf("got %s", got)
	}
}

// Any text comes back from a quoted string as encoding/json would have it.
func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("\"\\\n\t\x00\u2028é\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString([]byte(`"é"`), s)
		if !utf8.Valid(b) || string(b[:4]) != `"é"` {
			t.Fatalf("%q", b)
		}
		var got string
		if err := json.Unmarshal(b[4:], &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if want := strings.ToValidUTF8(s, "\uFFFD"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func BenchmarkDeliver200(b *testing.B) {
	w := newWorld()
	h, err := New(Config{View: w, Memberships: w.Memberships, Limits: Limits{QueueEvents: 1 << 30, QueueBytes: 1 << 40}})
	if err != nil {
		b.Fatal(err)
	}
	h.open = true
	for i := range 200 {
		w.apply(joined(user(i), channel(1)))
		if _, err := h.Register(b.Context(), client(user(i)), nullWire{}, Resume{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Publish(posted(channel(1), "hello there, how are you today?"))
	}
	h.close()
}

type nullWire struct{}

func (nullWire) Write([]byte) error { return nil }
func (nullWire) Ping() error        { return nil }
func (nullWire) Close(End)          {}
func (nullWire) Abort()             {}
