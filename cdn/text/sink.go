package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// sink collects words. White space becomes one space, or one newline if it contained one; control
// characters and invalid UTF-8 are removed. It never holds more than max bytes.
type sink struct {
	max  int
	b    strings.Builder
	gap  rune // pending white space before the next word; 0 for none
	full bool
}

func (s *sink) len() int { return s.b.Len() }

func (s *sink) String() string { return s.b.String() }

// add returns errLimit when no more fits.
func (s *sink) add(text string) error {
	for _, r := range text {
		switch {
		case r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			s.gap = '\n'
		case unicode.IsSpace(r):
			if s.gap == 0 {
				s.gap = ' '
			}
		case r == utf8.RuneError || unicode.IsControl(r) || r == '\u00ad' || r == '\ufeff':
		default:
			if err := s.letter(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sink) letter(r rune) error {
	if s.gap != 0 && s.b.Len() > 0 {
		if !s.fits(utf8.RuneLen(s.gap) + utf8.RuneLen(r)) {
			return errLimit
		}
		s.b.WriteRune(s.gap)
	}
	s.gap = 0
	if !s.fits(utf8.RuneLen(r)) {
		return errLimit
	}
	s.b.WriteRune(r)
	return nil
}

// fits stays false after it was false once: a later, shorter word must not follow the wrong word.
func (s *sink) fits(n int) bool {
	s.full = s.full || s.b.Len()+n > s.max
	return !s.full
}
