package parse_test

import (
	"strings"
	"testing"
	"time"
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
		{"ask @ann.", []string{"ann."}, ""},
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
		{"@ann.Could you? @ann-thanks @ann_x", []string{"ann.could", "ann-thanks", "ann_x"}, ""},
		{"@" + strings.Repeat("a.", 100) + "b", []string{strings.Repeat("a.", 32)[:63]}, ""},
		{"- item\n  ```\n  @ann #code\n  ```\n- @bob", []string{"bob"}, ""},
		{"- ```\n  @ann\n  ```", nil, ""},
		{"1. ~~~\n   @ann\n   ~~~", nil, ""},
		{"- item\n\n    @ann please", []string{"ann"}, ""},
		{"1. item\n\n   @ann please", []string{"ann"}, ""},
		{"- item\n\n      @ann", nil, ""},
		{"> ```\n> @ann\n> ```\n@bob", []string{"bob"}, ""},
		{"> - a\n>\n>       @code\n>\n>   @eve", []string{"eve"}, ""},
		{"*@ann* **@bob** _@cyd_ ~~@dee~~ <b>@eve</b>", []string{"ann", "bob", "cyd", "dee", "eve"}, ""},
		{"[@ann](http://x.org/@bob) ![@cyd](y) <http://x.org/@dee> www.x.org/-#tag [x]: @eve", []string{"eve"}, ""},
		{"[x]: http://x.org/,@ann\n\n@bob", []string{"bob"}, ""},
		{"\\@ann \\`@bob\\`", []string{"bob"}, ""},
		{"# Title @ann #plan\n\nText @bob\n===\n", []string{"ann", "bob"}, "#plan"},
		{"お願い@ann、#計画表と#計画。 สวัสดี@bob", []string{"ann", "bob"}, "#計画表と"},
		{"#हिन्दी und #gru\u0308n", nil, "#हिन्दी #gru\u0308n"},
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

// Whatever a message holds, parsing it takes time in proportion to its length: a library without bounds needs
// minutes for some of these.
func TestParse_Hostile(t *testing.T) {
	const size = core.MaxPostRunes
	hostile := []string{
		strings.Repeat("[", size/2) + strings.Repeat("]", size/2), strings.Repeat("[a", size/4) + strings.Repeat("](b)", size/8),
		strings.Repeat("- ", size/4) + "a" + strings.Repeat("\n", size/2), strings.Repeat("> ", size/4) + strings.Repeat("a\n", size/4),
		strings.Repeat("- ", size/4) + "a" + strings.Repeat("\n\n", size/8) + strings.Repeat(" ", size/4) + "a",
		strings.Repeat("*_", size/4) + "a" + strings.Repeat("_*", size/4), "# " + strings.Repeat("[](", size/3), strings.Repeat("[](", size/3) + "\n===",
	}
	for _, s := range strings.Fields("> - [ ![ ]( [a]( []( [][ *a_ **a*b ` `a`` < <a \\ &amp; |a|- > http://a a@b.c [](< _a ~~") {
		hostile = append(hostile, strings.Repeat(s, size/len(s)), strings.Repeat(s+" ", size/(len(s)+1)), strings.Repeat(s+"\n", size/(len(s)+1)))
	}
	began := time.Now()
	for _, s := range hostile {
		parse.Parse("www.x.org " + s + "\n\n@ann") // with a bare address, for the slower parser
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%d messages took %v", len(hostile), took)
	}
}

// A message costs its author's request microseconds.
func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parse.Parse("Hey @ann, could you look at this please? #urgent")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"@ann `#b` ```\n@c\n```", "~~~\n@@##", "    @x\n\t#yyy", "````````````@a`", "@é#ö\xff", "- a\n\n  > ```\n  > @b", "[@a](b)\n[c]: d", strings.Repeat("> - ", 50) + "@a"} {
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
