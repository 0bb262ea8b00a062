package parse

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nearside/nearside/core"
)

// MinHashtag is the minimum number of characters of a hashtag, without its sign.
const MinHashtag = 3

// maxWord bounds one name or tag, in bytes.
const maxWord = 256

// Message has the mentions and hashtags of a message.
type Message struct {
	Mentions []string // words after "@", lower-case, each once; core.NamesIn tells whom each may mean
	Hashtags string   // with their signs, between single spaces
}

// Parse reads a message in Markdown. Its time is in proportion to the length of the message, whatever that holds.
func Parse(text string) Message {
	var out Message
	taken := 0 // characters of hashtags
	if !strings.ContainsAny(text, "@#") {
		return out
	}
	prose(text, func(run []byte) {
		words(string(run), func(sign byte, word string) {
			if sign == '@' {
				out.mention(word)
			} else {
				taken += out.hashtag(word, core.MaxHashtagRunes-taken)
			}
		})
	})
	return out
}

func (m *Message) mention(word string) {
	names := core.NamesIn(strings.ToLower(word))
	if len(names) > 0 && len(m.Mentions) < core.MaxMentions && !slices.Contains(m.Mentions, names[0]) {
		m.Mentions = append(m.Mentions, names[0])
	}
}

// hashtag adds a tag if there is room for as many characters, and gives how many it has added.
func (m *Message) hashtag(word string, room int) (runes int) {
	word = strings.TrimRightFunc(word, func(r rune) bool { return !inWord(r) })
	first, _ := utf8.DecodeRuneInString(word)
	n := utf8.RuneCountInString(word)
	if !unicode.IsLetter(first) || n < MinHashtag {
		return 0
	}
	sign := "#"
	if m.Hashtags != "" {
		sign = " #"
	}
	if n += len(sign); n > room {
		return 0
	}
	m.Hashtags += sign + word
	return n
}

// words calls f for each "@" or "#" at the beginning of a word of prose, with the text after it.
func words(run string, f func(sign byte, word string)) {
	before := ' '
	for i := 0; i < len(run); {
		r, n := utf8.DecodeRuneInString(run[i:])
		if (r == '@' || r == '#') && !joins(before) {
			word := take(run[i+1:], byte(r))
			if word != "" {
				f(byte(r), word)
				last, _ := utf8.DecodeLastRuneInString(word)
				before = last
				i += 1 + len(word)
				continue
			}
		}
		before = r
		i += n
	}
}

// unspaced are scripts that write words without spaces: a sign after one of their letters begins a word.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// joins reports whether a sign after r is part of something else, such as an address or a link.
func joins(r rune) bool {
	return inWord(r) && !unicode.In(r, unspaced...) || strings.ContainsRune("@#&/=?%+_\\", r)
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// take returns the name or tag at the beginning of s.
func take(s string, sign byte) string {
	for i, r := range s {
		ok := inWord(r) || r == '.' || r == '-' || r == '_'
		if sign == '@' {
			ok = ok && r < utf8.RuneSelf
		}
		if !ok || i > maxWord {
			return s[:i]
		}
	}
	return s
}
