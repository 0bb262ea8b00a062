package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// An id survives being written and read as 26 characters, and ids sort by time in the database.
func TestID_RoundTrip(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	a, b := NewID[Post](at), NewID[Post](at.Add(time.Millisecond))
	if string(a[:6]) >= string(b[:6]) {
		t.Error("a later id does not sort after an earlier one")
	}
	got, ok := ParseID[Post](a.String())
	if !ok || got != a || len(a.String()) != IDLength {
		t.Errorf("%q came back as %v", a.String(), got)
	}
	for _, in := range []PostID{a, {}} {
		raw, err := cbor.Marshal(in)
		var out PostID
		if err != nil || cbor.Unmarshal(raw, &out) != nil || out != in {
			t.Errorf("CBOR: %v became %v", in, out)
		}
		js, err := json.Marshal(in)
		out = PostID{1}
		if err != nil || json.Unmarshal(js, &out) != nil || out != in {
			t.Errorf("JSON: %s became %v", js, out)
		}
	}
}

// Clients may ask for any 26 letters and digits. A text that cannot be one of our ids is not an
// error but an id that no object has, and different texts give different ids.
func TestParseID_Unwritable(t *testing.T) {
	a, ok1 := ParseID[Post](strings.Repeat("0", 26))
	b, ok2 := ParseID[Post](strings.Repeat("l", 26))
	if !ok1 || !ok2 || a == b || a.IsZero() {
		t.Errorf("got %v %v, %v %v", a, ok1, b, ok2)
	}
	for _, bad := range []string{"", "short", strings.Repeat("a", 27), strings.Repeat("-", 26), "abcdefghijklmnopqrstuvwxyé"} {
		if _, ok := ParseID[Post](bad); ok {
			t.Errorf("%q passed for an id", bad)
		}
	}
}

// A position survives its header form, and hostile headers are refused.
func TestPosition_RoundTrip(t *testing.T) {
	p := Position{Epoch: 3, Index: 1 << 60, Digest: Digest{1, 2, 3}}
	if got, err := ParsePosition(p.String()); err != nil || got != p {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := ParsePosition("1.7"); err != nil || got.Index != 7 {
		t.Errorf("without a digest: %v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "1", "-1.2", "1.99999999999999999999", "1.2.zz", strings.Repeat("9", 200)} {
		if _, err := ParsePosition(bad); KindOf(err) != KindInvalid {
			t.Errorf("%q gave %v", bad, err)
		}
	}
}

// A newer epoch is ahead of any index of an older one.
func TestPosition_Before(t *testing.T) {
	a, b := Position{Epoch: 1, Index: 900}, Position{Epoch: 2, Index: 1}
	if !a.Before(b) || b.Before(a) || a.Before(a) {
		t.Error("epochs do not order positions")
	}
}

// The digest covers every part of an entry and its outcome, and what came before.
func TestDigest_CoversEverything(t *testing.T) {
	e := Entry{Index: 1, At: time.Unix(1, 2), ID: ProposalID{1}, Data: []byte("data")}
	base := Digest{}.Next(e, []byte("out"))
	seen := map[Digest]string{base: "base"}
	check := func(name string, d Digest) {
		if was, dup := seen[d]; dup {
			t.Errorf("changing %s gives the digest of %s", name, was)
		}
		seen[d] = name
	}
	change := func(name string, f func(*Entry)) {
		c := e
		f(&c)
		check(name, Digest{}.Next(c, []byte("out")))
	}
	change("index", func(e *Entry) { e.Index = 2 })
	change("time", func(e *Entry) { e.At = time.Unix(1, 3) })
	change("id", func(e *Entry) { e.ID = ProposalID{2} })
	change("scope", func(e *Entry) { e.Scope.Team = TeamID{1} })
	change("data", func(e *Entry) { e.Data = []byte("dato") })
	change("the border of data and outcome", func(e *Entry) { e.Data = []byte("dataout") })
	check("outcome", Digest{}.Next(e, []byte("put")))
	check("previous", base.Next(e, []byte("out")))
}

// Kinds are found in wrapped errors, and the text of an error that is not ours is not shown to clients.
func TestKindOf(t *testing.T) {
	e := E(KindNotFound, "no %s", "post")
	if got := KindOf(fmt.Errorf("reading: %w", e)); got != KindNotFound {
		t.Errorf("got %v", got)
	}
	if got := AsError(errors.New("secret path")); got.Kind != KindInternal || got.Message != "" {
		t.Errorf("got %+v", got)
	}
	if got := KindOf(ErrDiverged); got != KindDiverged {
		t.Errorf("got %v", got)
	}
}

// Names that clients may choose, and those that they may not.
func TestNames(t *testing.T) {
	cases := []struct {
		valid func(string) bool
		good  []string
		bad   []string
	}{
		{ValidUsername, []string{"a", "ada.l-o_1"}, []string{"", "Ada", "a b", "all", "system", strings.Repeat("a", 65), "é"}},
		{
			ValidEmail, []string{"a@b", "a+b@c.de", "o'neil@x.example", "a.b.c@1a.b-c.de", "jürgen@bücher.example", "山田@例え.jp"},
			[]string{
				"", "@b", "a@", "A@b", "a b@c", "a<@b", strings.Repeat("a", 128) + "@b", strings.Repeat("a", 65) + "@b", "a@b@c", "a..b@c", ".a@c", "a.@c", "a@c.", "a@.c",
				"a@c..d", "a@-c", "a@c-", "Bob <a@c>", "a@c,d", "\"a\"@c", "a@[127.0.0.1]", "a@c d", "a@c_d", "a\u200b@c", "a\u202e@c", "a@c\n", "a@\xff", "a@" + strings.Repeat("c", 64),
			},
		},
		{
			ValidName, []string{"x", "Ada Lovelace", "مرحبا", "עברית \u200f!", "👩\u200d💻", "🏴\U000e0067\U000e0062\U000e007f", "می\u200cخواهم", "ｶﾀｶﾅ", "\ufffd"},
			[]string{
				"", " ", "\u3164", "\u200b", "\u2800\ufe0f", "\u115f\u1160", "\u202egnp.sserdda", "a\u2066b", "a\u0007b", "a\nb", "a\u2028b", "a\x7f", "a\u0085", "\ufeffa",
				"a\U0001fffe", "a\xff", "\U000e0041",
			},
		},
		{validLocale, []string{"en", "fil", "pt-BR", "zh-TW"}, []string{"", "e", "EN", "en_US", "en-", "en-A", "de-AT-x", "../..", "en<b>"}},
		{validZone, []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "America/Port-au-Prince"}, []string{"", "/", "Europe/", "a//b", "../etc", "1", "Europe/Ber lin", "\u202e"}},
		{validDomains, []string{"", "example.com", "@a.de, @b.de", "Example.COM x.org"}, []string{"a..b", "http://a.de", "a;b", "a\nb"}},
		{validTheme, []string{"{}", `{"type":"custom","sidebarBg":"#145dbf","buttonBg":"#fff","codeTheme":"solarized-dark","image":"/static/a.png"}`}, []string{
			"", "zz", "[]", "null", `"#fff"`, `{"a":5}`, `{"a":null}`, `{"a":"red"}`, `{"a":"#12"}`, `{"a":"#fff;}body{display:none"}`, `{"a":{"b":"#fff"}}`, `{} {}`,
			`{"codeTheme":"x;}"}`, `{"image":"url(\"x\")"}`, `{"a":"#fff"`,
		}},
		{validStatus, []string{`{}`, `{"emoji":"calendar","text":"In a meeting","duration":"one_hour","expires_at":"2026-11-29T15:00:00Z"}`, `{"emoji":"x","text":"","duration":"","expires_at":""}`}, []string{
			"", "x", "null", "[]", `{"emoji":"a b"}`, `{"emoji":{}}`, `{"text":"\u202ex"}`, `{"text":null}`, `{"expires_at":"tomorrow"}`, `{"duration":"<b>"}`, `{"text":"` + strings.Repeat("x", 101) + `"}`,
		}},
		{validStatuses, []string{`[]`, `[{"emoji":"a","text":"b"}]`}, []string{"", "{}", "null", "[null]", "[1]", `[{"emoji":null}]`}},
		{ValidTeamName, []string{"crew", "a1", "my-team"}, []string{"a", "-a", "a-", "a_b", "admins", "api", "Crew"}},
		{ValidChannelName, []string{"a", "town-square", "a_b", "a_"}, []string{"", "-a", "A", "a b", strings.Repeat("a", 26) + "__" + strings.Repeat("b", 26)}},
	}
	for i, c := range cases {
		for _, s := range c.good {
			if !c.valid(s) {
				t.Errorf("case %d refuses %q", i, s)
			}
		}
		for _, s := range c.bad {
			if c.valid(s) {
				t.Errorf("case %d allows %q", i, s)
			}
		}
	}
}

// In JSON, props is an object and every id a string, also when they are empty.
func TestPost_JSON(t *testing.T) {
	js, err := json.Marshal(Post{ID: PostID{1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"props":{}`, `"root_id":""`, `"metadata":{}`, `"participants":null`, `"pending_post_id":""`} {
		if !strings.Contains(string(js), want) {
			t.Errorf("%s lacks %s", js, want)
		}
	}
}

// Whatever a header holds, reading it ends in a position or a clear error.
func FuzzParsePosition(f *testing.F) {
	f.Add("1.2.00000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err != nil {
			if KindOf(err) != KindInvalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if again, err := ParsePosition(p.String()); err != nil || again != p {
			t.Fatalf("%q: %v became %v, %v", s, p, again, err)
		}
	})
}
