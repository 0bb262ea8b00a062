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
	Mentions []string // names after "@", lower-case, each once; a name that ends in punctuation also without it
	Hashtags string   // with their signs, between single spaces
}

// Parse reads a message in Markdown.
func Parse(text string) Message {
	var out Message
	if !strings.ContainsAny(text, "@#") {
		return out
	}
	for _, run := range prose(text) {
		words(run, func(sign byte, word string) {
			if sign == '@' {
				out.mention(word)
			} else {
				out.hashtag(word)
			}
		})
	}
	return out
}

// mention adds a name. "@ann." may be the name "ann.", or "ann" at the end of a sentence.
func (m *Message) mention(word string) {
	word = strings.ToLower(word)
	for {
		if word != "" && len(word) <= core.MaxUsername && len(m.Mentions) < core.MaxMentions && !slices.Contains(m.Mentions, word) {
			m.Mentions = append(m.Mentions, word)
		}
		shorter := strings.TrimRight(word, ".-_")
		if len(shorter) == len(word) {
			return
		}
		word = word[:len(word)-1]
	}
}

func (m *Message) hashtag(word string) {
	word = strings.TrimRightFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	first, _ := utf8.DecodeRuneInString(word)
	if !unicode.IsLetter(first) || utf8.RuneCountInString(word) < MinHashtag {
		return
	}
	next := "#" + word
	if m.Hashtags != "" {
		next = m.Hashtags + " " + next
	}
	if utf8.RuneCountInString(next) <= core.MaxHashtagRunes {
		m.Hashtags = next
	}
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

// joins reports whether a sign after r is part of something else, such as an address or a link.
func joins(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("@#&/=?%+_\\", r)
}

// take returns the name or tag at the beginning of s.
func take(s string, sign byte) string {
	for i, r := range s {
		ok := unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '-' || r == '_'
		if sign == '@' {
			ok = ok && r < utf8.RuneSelf
		}
		if !ok || i > maxWord {
			return s[:i]
		}
	}
	return s
}

// prose returns the parts of a message that are not code.
func prose(text string) []string {
	var out []string
	var para strings.Builder
	flush := func() {
		out = append(out, spans(para.String())...)
		para.Reset()
	}
	fence, blank := "", true
	for line := range strings.Lines(text) {
		mark := fenceOf(line)
		switch {
		case fence != "":
			if strings.HasPrefix(mark, fence) && strings.TrimSpace(line) == mark {
				fence = ""
			}
		case mark != "":
			flush()
			fence = mark
		case blank && (strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")):
			continue // indented code: the next line may belong to it
		case strings.TrimSpace(line) == "":
			flush()
		default:
			para.WriteString(line)
			blank = false
			continue
		}
		blank = true
	}
	flush()
	return out
}

// fenceOf returns the backticks or tildes that open or close a code block, or "".
func fenceOf(line string) string {
	body := strings.TrimLeft(line, " ")
	if len(line)-len(body) > 3 || len(body) < 3 || body[0] != '`' && body[0] != '~' {
		return ""
	}
	n := 1
	for n < len(body) && body[n] == body[0] {
		n++
	}
	if n < 3 || body[0] == '`' && strings.Contains(body[n:], "`") {
		return "" // "```like this```" is a span
	}
	return body[:n]
}

// spans gives the parts of a paragraph outside its code spans: a run of backticks up to the
// next run of the same length.
func spans(s string) []string {
	var out []string
	start := 0
	closers := map[int]int{} // length of run: where it was last looked for in vain
	for i := 0; i < len(s); {
		if s[i] != '`' {
			i++
			continue
		}
		n := runLength(s, i)
		end := -1
		if _, vain := closers[n]; !vain {
			if end = closing(s, i+n, n); end < 0 {
				closers[n] = i
			}
		}
		if end < 0 {
			i += n
			continue
		}
		out = append(out, s[start:i])
		start = end + n
		i = start
	}
	return append(out, s[start:])
}

func runLength(s string, i int) int {
	n := 0
	for i+n < len(s) && s[i+n] == '`' {
		n++
	}
	return n
}

func closing(s string, from, n int) int {
	for i := from; i < len(s); {
		if s[i] != '`' {
			i++
			continue
		}
		run := runLength(s, i)
		if run == n {
			return i
		}
		i += run
	}
	return -1
}
