package text

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

const chunkBytes = 32 << 10

// plain reads text of an unknown encoding: UTF-16 if it has a byte order mark, UTF-8 if it is
// valid, otherwise Latin-1. A file with a zero byte is not text and gives nothing.
func plain(j *job, out *sink) error {
	r := j.whole()
	buf := make([]byte, 4+chunkBytes)
	kept := 0 // bytes at the start of buf that are half of a character
	var decode func([]byte) (string, int)
	for {
		n, err := io.ReadFull(r, buf[kept:])
		b := buf[:kept+n]
		if decode == nil {
			decode = decoderFor(b)
		}
		if decode == nil {
			return nil
		}
		text, used := decode(b)
		if err := out.add(text); err != nil {
			return err
		}
		if err != nil {
			return ended(err)
		}
		kept = copy(buf, b[used:])
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// decoderFor decides by the first bytes; nil if they are not text.
func decoderFor(b []byte) func([]byte) (string, int) {
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return utf16Text(func(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 })
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return utf16Text(func(b []byte) uint16 { return uint16(b[1]) | uint16(b[0])<<8 })
	case bytes.IndexByte(b, 0) >= 0:
		return nil
	case utf8.Valid(b[:wholeRunes(b)]):
		return func(b []byte) (string, int) { n := wholeRunes(b); return string(b[:n]), n }
	}
	return latin1
}

// wholeRunes returns the length of b without a character that is cut off at its end.
func wholeRunes(b []byte) int {
	for n := len(b) - 1; n >= 0 && n > len(b)-utf8.UTFMax; n-- {
		if utf8.RuneStart(b[n]) {
			if utf8.FullRune(b[n:]) {
				return len(b)
			}
			return n
		}
	}
	return len(b)
}

func latin1(b []byte) (string, int) {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes), len(b)
}

func utf16Text(unit func([]byte) uint16) func([]byte) (string, int) {
	return func(b []byte) (string, int) {
		units := make([]uint16, 0, len(b)/2)
		n := 0
		for ; n+2 <= len(b); n += 2 {
			units = append(units, unit(b[n:]))
		}
		if n > 2 && utf16.IsSurrogate(rune(units[len(units)-1])) && units[len(units)-1] < 0xdc00 {
			units, n = units[:len(units)-1], n-2
		}
		return string(utf16.Decode(units)), n
	}
}
