package read

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// punctuation parts words; the function search_words of the database has the same list.
const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~“”„‘’‚«»‹›–—―‐·¿¡、。「」『』【】〈〉《》・،؛؟।"

// last is a character that comes after every other one.
const last = "\U0010FFFF"

// nameParts bounds the words of a name that is searched for.
const nameParts = 8

// begins gives the condition for rows of which one of some columns begins with a name as people write it: without regard
// to case and accents (search_form in the database). A name of several words may also be in several columns. The columns
// in forms are indexed by their search form; those in plain are ASCII in lower case, and indexed as they are.
func begins(a *args, name string, plain, forms []string) string {
	column := func(term string) string {
		from := `left(search_form(` + a.add(term) + `::text), 64) COLLATE "C"`
		var either []string
		for _, c := range plain {
			either = append(either, c+` >= `+from+` AND `+c+` < (`+from+`) || '`+last+`'`)
		}
		for _, c := range forms {
			c = `left(search_form(` + c + `), 64) COLLATE "C"`
			either = append(either, c+` >= `+from+` AND `+c+` < (`+from+`) || '`+last+`'`)
		}
		return `(` + strings.Join(either, ` OR `) + `)`
	}
	name = strings.ReplaceAll(strings.ToValidUTF8(name, ""), "\x00", "")
	out := column(name)
	if parts := strings.Fields(name); len(parts) > 1 && len(parts) <= nameParts {
		each := make([]string, len(parts))
		for i, part := range parts {
			each[i] = column(part)
		}
		out = `(` + out + ` OR ` + strings.Join(each, ` AND `) + `)`
	}
	return out
}

// wordsOf splits a term as the function search_words of the database splits texts. No punctuation is left that could be an
// operator of the query language, also none that a character becomes in its search form.
func wordsOf(term string) []string {
	return strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case r == 0 || strings.ContainsRune(punctuation, r):
			return ' '
		case '\u0300' <= r && r <= '\u036f': // accents; a word of nothing else would be empty
			return -1
		}
		return r
	}, norm.NFKD.String(term)))
}
