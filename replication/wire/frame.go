package wire

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/nearside/nearside/core"
)

// Version is the protocol version that opening frames carry.
const Version = 1

// Kind numbers a frame. The numbers are append-only.
type Kind byte

// The kinds of frames.
const (
	KindHello    Kind = 1  // follower → hub: Hello; opens a log stream
	KindWelcome  Kind = 2  // hub → follower: Status; answers Hello
	KindBatch    Kind = 3  // hub → follower: core.Batch
	KindTurn     Kind = 4  // hub → follower: Turn; the log cannot continue from the position
	KindPulse    Kind = 5  // follower → hub: no body; opens a pulse stream
	KindStatus   Kind = 6  // hub → follower: Status, a few times a second
	KindAck      Kind = 7  // follower → hub: core.Position that is applied
	KindFetch    Kind = 8  // follower → hub: Fetch; opens a snapshot stream
	KindSnapshot Kind = 9  // hub → follower: SnapshotHead
	KindChunk    Kind = 10 // hub → follower: snapshot bytes
	KindEnd      Kind = 11 // hub → follower, blob server → client: no body; everything was sent
	KindError    Kind = 12 // core.Error
	KindPropose  Kind = 13 // forward client → server: Propose
	KindReceipt  Kind = 14 // forward server → client: core.Receipt
	KindAsk      Kind = 15 // forward client → server: Ask
	KindAnswer   Kind = 16 // forward server → client: opaque bytes
	KindSignals  Kind = 17 // home → home: no body; the connection carries signals only
	KindBlobGet  Kind = 18 // blob client → server: BlobGet
	KindBlobPut  Kind = 19 // blob client → server: BlobPut, then the raw bytes
	KindBlobStat Kind = 20 // blob client → server: BlobStat
	KindBlobHead Kind = 21 // blob server → client: BlobHead, then the raw bytes and End
	kindEnd      Kind = 22
)

const (
	headBytes  = 6
	flagZstd   = 1
	packOver   = 512 // smaller bodies are not worth compressing
	growBytes  = 64 << 10
	windowSize = 1 << 20
)

// MaxFrameBytes bounds every body, compressed or not. It is several times the largest proposal.
const MaxFrameBytes = 4 << 20

// Writer writes frames. Each frame is one Write of the stream.
type Writer struct {
	w    io.Writer
	buf  []byte
	pack *zstd.Encoder // created at the first use
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one frame with an uncompressed body.
func (w *Writer) Write(kind Kind, body []byte) error {
	return w.write(kind, 0, body)
}

// WritePacked writes one frame, and compresses its body if that makes it smaller.
func (w *Writer) WritePacked(kind Kind, body []byte) error {
	if len(body) < packOver {
		return w.write(kind, 0, body)
	}
	if w.pack == nil {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windowSize), zstd.WithEncoderCRC(true))
		if err != nil {
			return err
		}
		w.pack = enc
	}
	packed := w.pack.EncodeAll(body, make([]byte, 0, len(body)))
	if len(packed) >= len(body) {
		return w.write(kind, 0, body)
	}
	return w.write(kind, flagZstd, packed)
}

func (w *Writer) write(kind Kind, flags byte, body []byte) error {
	if len(body) > MaxFrameBytes {
		return core.E(core.KindTooLarge, "a frame has at most %d bytes, not %d", MaxFrameBytes, len(body))
	}
	w.buf = append(w.buf[:0], byte(kind), flags)
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(body)))
	w.buf = append(w.buf, body...)
	_, err := w.w.Write(w.buf)
	if cap(w.buf) > growBytes {
		w.buf = nil // a rare large frame must not stay in memory for the life of the stream
	}
	return err
}

// Reader reads frames.
type Reader struct {
	r      io.Reader
	max    int
	unpack *zstd.Decoder // created at the first use
}

// NewReader returns a Reader of r that refuses bodies of more than maxBytes, compressed or not;
// zero means MaxFrameBytes.
func NewReader(r io.Reader, maxBytes int) *Reader {
	if maxBytes <= 0 || maxBytes > MaxFrameBytes {
		maxBytes = MaxFrameBytes
	}
	return &Reader{r: r, max: maxBytes}
}

// Next reads one frame; the body belongs to the caller. It returns io.EOF at the end of the
// stream between two frames, KindInvalid for malformed frames, and otherwise the stream's own
// error.
func (r *Reader) Next() (Kind, []byte, error) {
	var head [headBytes]byte
	if n, err := io.ReadFull(r.r, head[:]); err != nil {
		if n > 0 {
			err = truncated(err)
		}
		return 0, nil, err
	}
	kind, flags, size := Kind(head[0]), head[1], binary.BigEndian.Uint32(head[2:])
	switch {
	case kind == 0 || kind >= kindEnd:
		return 0, nil, core.E(core.KindInvalid, "unknown frame kind %d", kind)
	case flags&^flagZstd != 0:
		return 0, nil, core.E(core.KindInvalid, "unknown frame flags %#x", flags)
	case uint64(size) > uint64(r.max):
		return 0, nil, core.E(core.KindInvalid, "frame of %d bytes is over the limit of %d", size, r.max)
	}
	body, err := r.body(int(size))
	if err != nil {
		return 0, nil, err
	}
	if flags&flagZstd != 0 {
		if body, err = r.decode(body); err != nil {
			return 0, nil, err
		}
	}
	return kind, body, nil
}

// Expect reads one frame of a given kind. From a KindError frame it returns the error.
func (r *Reader) Expect(want Kind) ([]byte, error) {
	kind, body, err := r.Next()
	switch {
	case err != nil:
		return nil, err
	case kind == KindError:
		return nil, DecodeError(body)
	case kind != want:
		return nil, Unexpected(kind)
	}
	return body, nil
}

// Unexpected is the error for a frame of the wrong kind.
func Unexpected(kind Kind) error {
	return core.E(core.KindInvalid, "unexpected frame kind %d", kind)
}

// body grows as bytes arrive, so that a large length alone cannot allocate memory.
func (r *Reader) body(size int) ([]byte, error) {
	buf := make([]byte, 0, min(size, growBytes))
	for len(buf) < size {
		if len(buf) == cap(buf) {
			next := make([]byte, len(buf), min(size, 4*cap(buf)))
			copy(next, buf)
			buf = next
		}
		n, err := io.ReadFull(r.r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			return nil, truncated(err)
		}
	}
	return buf, nil
}

func (r *Reader) decode(packed []byte) ([]byte, error) {
	if r.unpack == nil {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(r.max)))
		if err != nil {
			return nil, err
		}
		r.unpack = dec
	}
	body, err := r.unpack.DecodeAll(packed, nil)
	if err != nil {
		return nil, core.E(core.KindInvalid, "frame cannot be decompressed").WithCause(err)
	}
	return body, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return core.E(core.KindInvalid, "truncated frame")
	}
	return err
}
