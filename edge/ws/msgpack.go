package ws

import (
	"encoding/binary"
	"errors"
)

// maxDepth bounds the nesting of the values in a binary request.
const maxDepth = 16

var errClaims = errors.New("not one whole msgpack value")

// checkBinary reports whether raw is one msgpack value with all the bytes that its lengths
// announce. The decoder allocates what is announced, so it must not get anything else: a dozen
// bytes can announce gigabytes.
func checkBinary(raw []byte) error {
	rest, ok := skip(raw, maxDepth)
	if !ok || len(rest) > 0 {
		return errClaims
	}
	return nil
}

// skip returns what follows the first value of b.
func skip(b []byte, depth int) (rest []byte, ok bool) {
	if len(b) == 0 || depth == 0 {
		return nil, false
	}
	c, b := b[0], b[1:]
	switch {
	case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // small number, nil, false, true
		return b, true
	case c <= 0x8f:
		return skipValues(b, 2*uint64(c&0x0f), depth)
	case c <= 0x9f:
		return skipValues(b, uint64(c&0x0f), depth)
	case c <= 0xbf:
		return skipBytes(b, uint64(c&0x1f))
	case c >= 0xca && c <= 0xd3: // floats of 4 and 8 bytes, then unsigned and signed numbers of 1 to 8
		return skipBytes(b, [...]uint64{4, 8, 1, 2, 4, 8, 1, 2, 4, 8}[c-0xca])
	}
	return skipCounted(c, b, depth)
}

// skipCounted skips a value that begins with its length in 1, 2 or 4 bytes.
func skipCounted(c byte, b []byte, depth int) (rest []byte, ok bool) {
	width, known := map[byte]int{
		0xc4: 1, 0xc5: 2, 0xc6: 4, // bytes
		0xd9: 1, 0xda: 2, 0xdb: 4, // text
		0xdc: 2, 0xdd: 4, // list
		0xde: 2, 0xdf: 4, // map
	}[c]
	if !known || len(b) < width { // the protocol has no extensions
		return nil, false
	}
	var wide [8]byte
	copy(wide[8-width:], b)
	n, b := binary.BigEndian.Uint64(wide[:]), b[width:]
	switch {
	case c >= 0xde:
		return skipValues(b, 2*n, depth)
	case c >= 0xdc:
		return skipValues(b, n, depth)
	}
	return skipBytes(b, n)
}

func skipValues(b []byte, n uint64, depth int) (rest []byte, ok bool) {
	if n > uint64(len(b)) { // each value has at least one byte
		return nil, false
	}
	for ok = true; n > 0 && ok; n-- {
		b, ok = skip(b, depth-1)
	}
	return b, ok
}

func skipBytes(b []byte, n uint64) (rest []byte, ok bool) {
	if n > uint64(len(b)) {
		return nil, false
	}
	return b[n:], true
}
