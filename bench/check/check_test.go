package check

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Each kind of broken promise is found and named, and a good history has no findings.
func TestHistory(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	writes := []Write{
		{Message: "a", Writer: "ada", Edge: "e1", Sent: at(1), Acked: at(2), PostID: "1"},
		{Message: "b", Writer: "bob", Edge: "e2", Sent: at(3), Acked: at(4), PostID: "2"},
		{Message: "c", Writer: "bob", Edge: "e2", Sent: at(5)},
	}
	a, b, c := Post{"1", "a", 10}, Post{"2", "b", 20}, Post{"3", "c", 30}
	good := Replica{"e1", []Post{a, b, c}}
	cases := []struct {
		name  string
		other []Post
		want  string // the first word of some finding; "" for none
	}{
		{"the same", []Post{a, b, c}, ""},
		{"an acknowledged write is missing", []Post{a, c}, "lost:"},
		{"an acknowledged write is there twice", []Post{a, b, {"9", "b", 25}, c}, "doubled:"},
		{"an acknowledged write has another id", []Post{a, {"9", "b", 20}, c}, "doubled:"},
		{"an unacknowledged write is there twice", []Post{a, b, c, {"9", "c", 40}}, "doubled:"},
		{"the order defies what a writer saw", []Post{{"2", "b", 5}, a, c}, "reordered:"},
		{"two posts have one time", []Post{a, {"2", "b", 10}, c}, "reordered:"},
		{"another order than the other replica", []Post{a, c, b}, "different:"},
		{"a post that nobody wrote", []Post{a, b, {"8", "x", 25}, c}, "invented:"},
		{"a replica that lags", []Post{a, b}, "different:"},
	}
	for _, tc := range cases {
		got := History(writes, []Replica{good, {"e2", tc.other}})
		found := slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, tc.want) })
		if tc.want == "" && len(got) > 0 || tc.want != "" && !found {
			t.Errorf("%s: want %q, got %q", tc.name, tc.want, got)
		}
	}
}

// A write that was not acknowledged may be there or not.
func TestHistory_UnacknowledgedMayBeEither(t *testing.T) {
	writes := []Write{{Message: "a", Sent: time.Unix(1, 0)}}
	for _, posts := range [][]Post{nil, {{"1", "a", 10}}} {
		if got := History(writes, []Replica{{"e1", posts}}); len(got) > 0 {
			t.Errorf("%v: %q", posts, got)
		}
	}
}

// The report of a history that is wrong everywhere is bounded.
func TestHistory_BoundedReport(t *testing.T) {
	var posts []Post
	for range 1000 {
		posts = append(posts, Post{"1", "nobody wrote this", 1})
	}
	if got := History(nil, []Replica{{"e1", posts}}); len(got) > maxFindings {
		t.Errorf("%d findings", len(got))
	}
}
