package files

import (
	"strings"
	"time"
	"unicode"
)

// fileTerms is what somebody looks for, as they wrote it.
type fileTerms struct {
	words, excluded []string // of several words: these in a row; ending in *: words that begin so
	from, notFrom   []string // usernames
	in, notIn       []string // names of channels
	ext, notExt     []string
	after, before   int64 // from the first moment on, and before the second, in milliseconds; 0: no bound
	notOn           bool  // a day was excluded, which is not to be had
}

// parseTerms reads the language of the search box: words, "words in a row", -unwanted, begin*,
// and filters from:, in:, ext:, before:, after:, on: with a day, which may stand after a space
// and be excluded too. Days begin zone seconds before they do in UTC. What looks like a filter
// and is none is a word.
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

// filterOf gives the name of the filter that s begins with, and what follows it.
func filterOf(s string) (name, rest string, ok bool) {
	for _, name := range []string{"from", "in", "ext", "before", "after", "on"} {
		if len(s) > len(name) && strings.EqualFold(s[:len(name)], name) && s[len(name)] == ':' {
			return name, s[len(name)+1:], true
		}
	}
	return "", "", false
}

// nextTerm takes a word, or what stands in quotes, from the beginning of s. Quotes that do not
// end end with the text.
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

// filter adds a filter; false when its value is none.
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

// day narrows the time by a filter. Not before a day is from it on, not after it until its end.
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
