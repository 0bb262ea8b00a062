package core

import (
	"strings"
	"unicode/utf8"
)

// The rules below decide at every replica what may be stored. So they use tables of their own: those of
// package unicode change with the version of Go.

// span is a range of characters, both ends included.
type span struct{ from, to rune }

// unfit are characters that no name may have: controls, ends of lines, those that turn the direction of
// the text after them, and those that stand for nothing. A name with one of them can look like another
// name, or can damage the line in which it is shown.
var unfit = []span{
	{0, 0x1f}, {0x7f, 0x9f}, {0x2028, 0x202e}, {0x2066, 0x206f}, {0xfdd0, 0xfdef}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xfffe, 0xffff},
}

// blank are characters that may be in a name but cannot be seen.
var blank = []span{
	{' ', ' '}, {0xa0, 0xa0}, {0xad, 0xad}, {0x34f, 0x34f}, {0x61c, 0x61c}, {0x115f, 0x1160}, {0x1680, 0x1680}, {0x17b4, 0x17b5}, {0x180b, 0x180f},
	{0x2000, 0x200f}, {0x202f, 0x202f}, {0x205f, 0x2065}, {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xffa0, 0xffa0},
	{0xfff0, 0xfff8}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
}

func in(spans []span, r rune) bool {
	for _, s := range spans {
		if s.from <= r && r <= s.to {
			return true
		}
	}
	return false
}

// FitsName reports whether a character may be in a name that people see.
func FitsName(r rune) bool { return !in(unfit, r) && r&0xfffe != 0xfffe }

// plain reports whether a text has only characters that a name may have.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !FitsName(r) })
}

// visible reports whether a reader can see something of a text.
func visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return !in(blank, r) })
}

// ValidName reports whether a text can be shown as somebody's or something's name: it has only characters
// that a name may have, and one at least that can be seen.
func ValidName(s string) bool { return plain(s) && visible(s) }

// optionalName is ValidName for a name that may be left out.
func optionalName(s string) bool { return s == "" || ValidName(s) }

const maxMailbox = 64 // bytes before the @, as in RFC 5321

// ValidEmail reports whether addr is an address that a mail server takes, lower-case and within the limit:
// words with single dots between them, one @, and a domain. Quoted words, comments and numbers in brackets
// are refused: no account needs them, and programs read them differently. Letters other than ASCII's
// are allowed, as in RFC 6531.
func ValidEmail(addr string) bool {
	mailbox, domain, ok := strings.Cut(addr, "@")
	if !ok || len(addr) > MaxEmail || len(mailbox) > maxMailbox || addr != strings.ToLower(addr) || !plain(addr) {
		return false
	}
	for word := range strings.SplitSeq(mailbox, ".") {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !inMailbox(r) }) {
			return false
		}
	}
	return validDomain(domain)
}

func inMailbox(r rune) bool {
	return inLabel(r) || r < 0x80 && strings.ContainsRune("!#$%&'*+/=?^_`{|}~", r)
}

// inLabel reports whether a character may be in a part of a domain.
func inLabel(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r >= 0x80 && !in(blank, r)
}

const (
	maxDomain = 253 // bytes, as in RFC 1035
	maxLabel  = 63
)

// validDomain reports whether a text is a lower-case domain.
func validDomain(s string) bool {
	if len(s) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(r rune) bool { return !inLabel(r) }) {
			return false
		}
	}
	return true
}

// Domains gives the domains of a list with commas, spaces or @ between them.
func Domains(list string) []string {
	return strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return r == ',' || r == '@' || r == ' ' })
}

func validDomains(list string) bool {
	for _, d := range Domains(list) {
		if !validDomain(d) {
			return false
		}
	}
	return plain(list)
}

// validLocale reports whether a text names a language, and maybe a country or a script, as in "de" or "pt-BR".
func validLocale(s string) bool {
	language, rest, more := strings.Cut(s, "-")
	return len(s) <= MaxLocale && (len(language) == 2 || len(language) == 3) && only(language, lowerLetters) &&
		(!more || len(rest) >= 2 && only(rest, lowerLetters+upperLetters+digits))
}

const (
	lowerLetters = "abcdefghijklmnopqrstuvwxyz"
	upperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits       = "0123456789"
)

// only reports whether a text has no other characters than those of a set.
func only(s, set string) bool { return strings.Trim(s, set) == "" }

// validZone reports whether a text has the form of a time zone's name, as in "Europe/Berlin". Which zones
// there are is not checked: a client may know newer ones than this server.
func validZone(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || !only(part[:1], lowerLetters+upperLetters) || !only(part, lowerLetters+upperLetters+digits+"_+-") {
			return false
		}
	}
	return true
}
