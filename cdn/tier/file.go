package tier

import (
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/nearside/nearside/cdn"
)

// A kept file is the content, then the hash of each chunk, then a footer: what the hashes belong
// to, and a hash of all of these. The file's name has the digest and the size, so that Load need
// not open any file.
const (
	chunk   = 256 << 10 // bytes under one hash
	sumSize = 8
	magic   = "nstier1\n"
	tail    = len(magic) + len(cdn.Digest{}) + 8 + sumSize // magic, digest, size, hash

	dueExt  = ".due"  // the origin does not have the blob yet
	partExt = ".part" // being written
)

var errDamaged = errors.New("a kept file has changed")

func chunks(size int64) int64 { return (size + chunk - 1) / chunk }

// fileBytes returns the length of a blob's file.
func fileBytes(size int64) int64 { return size + chunks(size)*sumSize + int64(tail) }

func fileName(d cdn.Digest, size int64, due bool) string {
	name := d.String() + "-" + strconv.FormatInt(size, 10)
	if due {
		name += dueExt
	}
	return name
}

// parseName is the inverse of fileName.
func parseName(name string) (d cdn.Digest, size int64, due, ok bool) {
	base, due := strings.CutSuffix(name, dueExt)
	hex, digits, _ := strings.Cut(base, "-")
	d, err := cdn.ParseDigest(hex)
	if err != nil {
		return d, 0, false, false
	}
	size, err = strconv.ParseInt(digits, 10, 64)
	return d, size, due, err == nil && size >= 0 && fileName(d, size, due) == name
}

// footer returns what follows the content.
func footer(d cdn.Digest, size int64, sums []uint64) []byte {
	b := make([]byte, 0, len(sums)*sumSize+tail)
	for _, s := range sums {
		b = binary.LittleEndian.AppendUint64(b, s)
	}
	b = append(append(b, magic...), d[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// parseFooter returns the hashes of a footer; false if it is not the footer of this blob.
func parseFooter(b []byte, d cdn.Digest, size int64) ([]uint64, bool) {
	if int64(len(b)) != fileBytes(size)-size {
		return nil, false
	}
	sums := make([]uint64, chunks(size))
	for i := range sums {
		sums[i] = binary.LittleEndian.Uint64(b[i*sumSize:])
	}
	return sums, string(footer(d, size, sums)) == string(b)
}

// openKept opens a kept file and reads its hashes. It returns errDamaged if the file has changed.
func openKept(path string, d cdn.Digest, size int64) (*os.File, []uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	b := make([]byte, fileBytes(size)-size)
	if _, err := f.ReadAt(b, size); err == nil {
		if sums, ok := parseFooter(b, d, size); ok {
			return f, sums, nil
		}
	}
	_ = f.Close()
	return nil, nil, errDamaged
}

// readChunk reads a chunk into a page; false if it cannot be read or does not match its hash.
func readChunk(f *os.File, i, size int64, sum uint64, pg *page) bool {
	data := pg.data[:min(chunk, size-i*chunk)]
	_, err := f.ReadAt(data, i*chunk)
	return err == nil && xxhash.Sum64(data) == sum
}
