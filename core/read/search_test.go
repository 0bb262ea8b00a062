package read_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/read"
)

// People are found by the beginnings of their names, however these are written: in any case, with or without accents, in
// any form of the same characters.
func TestUsers_Names(t *testing.T) {
	s, db := store(t)
	for name, first := range map[string]string{
		"u1": "Zed", "u2": "Jürgen", "u3": "Élodie", "u4": "Иван", "u5": "Ömer", "u6": "Łukasz", "u7": "Αθηνάς", "u8": "Straße",
		"u9": "ﬁona", "v1": "İrem", "v2": "Anna Maria", "v3": "がく", "v4": "かく", "v5": "Ａｄａ", "v6": "Ægir", "v7": "김철수",
	} {
		addUser(t, db, name, first, "system_user", 0)
	}
	for term, want := range map[string]string{
		"zed": "u1", "ZE": "u1", "JÜRGEN": "u2", "ju\u0308r": "u2", "jurgen": "u2", "élo": "u3", "ÉLODIE": "u3", "elodie": "u3", "иван": "u4", "ИВА": "u4", "öme": "u5",
		"łuk": "u6", "ŁUKASZ": "u6", "lukasz": "u6", "ΑΘΗΝΆΣ": "u7", "αθηνας": "u7", "αθηνασ": "u7", "STRASSE": "u8", "straẞe": "u8", "fiona": "u9", "FI": "u9",
		"irem": "v1", "İ": "v1", "anna m": "v2", "anna maria": "v2", "が": "v3", "か": "v4", "ada": "v5", "ægir": "v6", "AEG": "v6", "김": "v7",
		"%": "", "\x00": "all", "zed\xff": "u1", "u8@ex": "u8", strings.Repeat("é", 5000): "", "'; --": "",
	} {
		users, err := s.Users(t.Context(), read.UserFilter{Term: term}, read.Page{Size: 10})
		if err != nil {
			t.Fatalf("%q: %v", term, err)
		}
		var got []string
		for _, u := range users {
			got = append(got, u.Username)
		}
		if all := want == "all" && len(got) == 10; !all && strings.Join(got, " ") != want {
			t.Errorf("%q finds %v, want %s", term, got, want)
		}
	}
	addUser(t, db, "w1", strings.Repeat("\ufdfa", core.MaxUsername), "system_user", 0) // each becomes 18 characters: an index must take it
	fill(t, db, `UPDATE users SET first_name = 'Ada', last_name = 'Lovelace' WHERE username = 'w1'`)
	if users, err := s.Users(t.Context(), read.UserFilter{Term: "LOVE ad"}, read.Page{Size: 10}); err != nil || len(users) != 1 || users[0].Username != "w1" {
		t.Errorf("a name in two columns: %v, %v", users, err)
	}
}

// A search for a name takes the indexes: conditions and indexes have the same expressions.
func TestUsers_NamesByIndex(t *testing.T) {
	_, db := store(t)
	put(t, db, func(rows apply.Direct) {
		for i := range 3000 {
			name := fmt.Sprint("user", i)
			apply.Users.Put(rows, core.User{ID: id[core.User](name), Username: name, Email: name + "@x.org", FirstName: name, LastName: name, Nickname: name})
		}
	})
	fill(t, db, "ANALYZE users")
	where, args := read.NameCondition("user77")
	plan, err := pg.Query(t.Context(), db, "EXPLAIN SELECT FROM users t WHERE "+where, pg.Scalar[string], args...)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []string{"users_username", "users_email", "users_nickname", "users_first_name", "users_last_name"} {
		if !strings.Contains(strings.Join(plan, "\n"), "on "+index) {
			t.Errorf("%s is not used:\n%s", index, strings.Join(plan, "\n"))
		}
	}
}

// No character of Unicode in a term is an error, whatever the Unicode version of the database, and whatever parts the words of a text parts those of a term.
func TestSearchFiles_AnyCharacter(t *testing.T) {
	_, db := store(t)
	var queries, texts []string
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if unicode.In(r, unicode.Cs, unicode.Co) || unicode.In(r, unicode.Han, unicode.Hangul) && r%97 != 0 || r > 0x3ffff && r%997 != 0 {
			continue
		}
		word := "a" + string(r) + "b'" + string(r)
		if q := read.WordsQuery(word); q != "" {
			queries, texts = append(queries, q), append(texts, word)
		}
	}
	missed, err := pg.Query(t.Context(), db, `SELECT q.text FROM unnest($1::text[], $2::text[]) q(words, text)
		WHERE NOT search_words(q.text) @@ to_tsquery('simple', search_form(q.words)) AND ascii(substr(q.text, 2)) < x'1e000'::int`, pg.Scalar[string], queries, texts)
	if err != nil {
		t.Fatal(err)
	}
	if len(missed) > 0 {
		t.Errorf("%d texts are not found by themselves: %q", len(missed), missed[:min(20, len(missed))])
	}
	parted, err := pg.Query(t.Context(), db, `SELECT c FROM unnest($1::text[]) c WHERE length(search_words('a' || c || 'b')) <> 2`, pg.Scalar[string], strings.Split(read.Punctuation, ""))
	if err != nil || len(parted) > 0 {
		t.Errorf("no punctuation in the database: %q, %v", parted, err)
	}
}

// Names and texts of files are found in any case, with or without accents.
func TestSearchFiles_Forms(t *testing.T) {
	d := newDrawers(t)
	d.file(d.town, d.bob, "Größe „Übersicht“.txt", "ЁЛКА, naïve CAFÉ")
	for _, terms := range [][]string{{"GRÖSSE"}, {"grosse"}, {"übersicht"}, {"ubersicht"}, {"ёлка"}, {"елка"}, {"NAIVE café"}, {"cafe\u0301"}, {"größe übersicht"}} {
		if got := d.search(read.FileQuery{Terms: terms}); got == "" {
			t.Errorf("%q finds nothing", terms)
		}
	}
	var long strings.Builder // every character becomes many: the index must take all the words
	for i := 0; long.Len() < core.MaxFileText-8; i++ {
		long.WriteString("\ufdfb" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + "\ufdfa")
	}
	d.file(d.town, d.bob, "long.txt", long.String())
	if got := d.search(read.FileQuery{Terms: slices.Repeat([]string{"\u0301"}, 3)}); got != "" {
		t.Errorf("accents alone find %q", got)
	}
}
