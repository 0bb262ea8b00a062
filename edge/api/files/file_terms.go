package files

import (
	"strings"
	"time"
	"unicode"
)

// fileTerms is a parsed search.
type fileTerms struct {
	words, excluded []string // a term of several words means these words in a row; a term that ends in * means words with this beginning
	from, notFrom   []string // usernames
	in, notIn       []string // names of channels
	ext, notExt     []string
	after, before   int64 // from the first time (inclusive) to the second (exclusive), in milliseconds; 0: no bound
	notOn           bool  // a day was excluded, which is not supported
}

// parseTerms parses the syntax of the search box: words, "words in a row", -excluded, begin*, and
// the filters from:, in:, ext:, before:, after:, on: with a day. A filter's value may follow
// after a space, and filters can be excluded too. A day begins zone seconds earlier than in UTC.
// Anything else is a word.
func parseTerms(s string, zone int) fileTerms {
	var t fileTerms
	for s = strings.TrimLeftFunc(s, unicode.IsSpace); s != ""; s = strings.TrimLeftFunc(s, unicode.IsSpace) {
		rest, not := strings.CutPrefix(s, "-")
		if name, after, ok := filterOf(rest); ok {
			value, left := nextTerm(strings.TrimLeftFunc(after, unicode.IsSpace))
			if t.filter(name, value, not, zone) {
				s = left
				continue
			}
		}
		var word string
		if word, s = nextTerm(rest); word == "" {
			continue
		}
		if not {
			t.excluded = append(t.excluded, word)
		} else {
			t.words = append(t.words, word)
		}
	}
	return t
}

// filterOf returns the name of the filter at the beginning of s, and the rest.
func filterOf(s string) (name, rest string, ok bool) {
	for _, name := range []string{"from", "in", "ext", "before", "after", "on"} {
		if len(s) > len(name) && strings.EqualFold(s[:len(name)], name) && s[len(name)] == ':' {
			return name, s[len(name)+1:], true
		}
	}
	return "", "", false
}

// nextTerm takes a word or a quoted text from the beginning of s. A missing closing quote is
// assumed at the end.
func nextTerm(s string) (term, rest string) {
	if quoted, ok := strings.CutPrefix(s, `"`); ok {
		term, rest, _ = strings.Cut(quoted, `"`)
		return strings.TrimSpace(term), rest
	}
	if i := strings.IndexFunc(s, unicode.IsSpace); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// filter adds a filter; false if its value is invalid.
func (t *fileTerms) filter(name, value string, not bool, zone int) bool {
	if value == "" {
		return false
	}
	switch {
	case name == "before" || name == "after" || name == "on":
		return t.day(name, value, not, zone)
	case name == "from":
		add(&t.from, &t.notFrom, not, strings.ToLower(strings.TrimPrefix(value, "@")))
	case name == "in":
		add(&t.in, &t.notIn, not, strings.ToLower(strings.TrimPrefix(value, "~")))
	default:
		add(&t.ext, &t.notExt, not, strings.ToLower(strings.TrimPrefix(value, ".")))
	}
	return true
}

func add(to, toNot *[]string, not bool, value string) {
	if not {
		to = toNot
	}
	*to = append(*to, value)
}

// day restricts the time. "after" a day begins at its end, "before" ends at its beginning;
// excluding one of them gives the opposite bound.
func (t *fileTerms) day(name, value string, not bool, zone int) bool {
	day, err := time.Parse("2006-1-2", value)
	if err != nil || day.Year() < 1971 {
		return false
	}
	begin := day.UnixMilli() - int64(zone)*1000
	end := day.AddDate(0, 0, 1).UnixMilli() - int64(zone)*1000
	switch {
	case name == "on" && not:
		t.notOn = true
	case name == "on":
		t.since(begin)
		t.until(end)
	case name == "before" && !not:
		t.until(begin)
	case name == "before":
		t.since(begin)
	case not:
		t.until(end)
	default:
		t.since(end)
	}
	return true
}

func (t *fileTerms) since(at int64) { t.after = max(t.after, at) }

func (t *fileTerms) until(at int64) {
	if t.before == 0 || at < t.before {
		t.before = at
	}
}
