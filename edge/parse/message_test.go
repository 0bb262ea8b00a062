package parse_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/parse"
)

func TestParse(t *testing.T) {
	// Names and tags are found in prose, and nowhere else.
	for _, c := range []struct {
		text     string
		mentions []string
		hashtags string
	}{
		{"hello", nil, ""},
		{"@Ann and @bob, @ann!", []string{"ann", "bob"}, ""},
		{"ask @ann.", []string{"ann.", "ann"}, ""},
		{"@a.b-c_d: (@eve)", []string{"a.b-c_d", "eve"}, ""},
		{"mail ann@example.com or http://x.org/@ann", nil, ""},
		{"#plan for #2024 and #go1.26, #ab", nil, "#plan #go1.26"},
		{"##heading #größe.", nil, "#größe"},
		{"`@ann` and ``@b`ob`` but @eve", []string{"eve"}, ""},
		{"one ` backtick @ann", []string{"ann"}, ""},
		{"```\n@ann #code\n```\n@bob", []string{"bob"}, ""},
		{"~~~ go\n@ann\n~~~~\n@bob #tag", []string{"bob"}, "#tag"},
		{"text\n    @still", []string{"still"}, ""},
		{"text\n\n    @code\n    @more\n@bob", []string{"bob"}, ""},
		{"```\n@ann never closed", nil, ""},
		{"```@ann``` @bob", []string{"bob"}, ""},
		{"@", nil, ""}, {"#", nil, ""}, {"@ann@bob", []string{"ann"}, ""},
	} {
		got := parse.Parse(c.text)
		if diff := cmp.Diff(parse.Message{Mentions: c.mentions, Hashtags: c.hashtags}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestParse_Limits(t *testing.T) {
	// However much a message holds, what comes out keeps to the limits of a post.
	var b strings.Builder
	for i := range 5000 {
		b.WriteString(" @user" + strings.Repeat("x", i%9) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)))
		b.WriteString(" #tag" + strings.Repeat("y", i%9))
	}
	m := parse.Parse(b.String())
	if len(m.Mentions) > core.MaxMentions || utf8.RuneCountInString(m.Hashtags) > core.MaxHashtagRunes {
		t.Errorf("%d mentions, %d runes of hashtags", len(m.Mentions), utf8.RuneCountInString(m.Hashtags))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"@ann `#b` ```\n@c\n```", "~~~\n@@##", "    @x\n\t#yyy", "````````````@a`", "@é#ö\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := parse.Parse(s)
		for _, name := range m.Mentions {
			if name == "" || len(name) > core.MaxUsername || name != strings.ToLower(name) || !strings.Contains(strings.ToLower(s), "@"+name) {
				t.Fatalf("mention %q of %q", name, s)
			}
		}
		if utf8.RuneCountInString(m.Hashtags) > core.MaxHashtagRunes || !utf8.ValidString(m.Hashtags) {
			t.Fatalf("hashtags %q of %q", m.Hashtags, s)
		}
	})
}
