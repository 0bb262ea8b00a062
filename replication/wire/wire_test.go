package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func samplePosition() core.Position {
	return core.Position{Epoch: 3, Index: 70_000, Digest: core.Digest{1, 2, 3, 15: 16}}
}

func sampleBatch() core.Batch {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return core.Batch{After: samplePosition(), Entries: []core.Entry{
		{Index: 69_999, At: at, ID: core.ProposalID{1}, Data: []byte("first")},
		{Index: 70_000, At: at.Add(1), Sealed: [][]byte{[]byte("secret"), []byte("two")}, ID: core.ProposalID{2}, Scope: core.Scope{Team: core.TeamID{9}}, Data: bytes.Repeat([]byte("x"), 1000)},
	}}
}

type sample struct {
	name   string
	kind   Kind
	packed bool
	body   []byte
	decode func([]byte) ([]byte, error) // decodes and encodes again
}

func again[T any](decode func([]byte) (T, error), app func([]byte, T) []byte) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := decode(b)
		if err != nil {
			return nil, err
		}
		return app(nil, v), nil
	}
}

func opaque(b []byte) ([]byte, error) { return b, nil }

func samples() []sample {
	p := core.Proposal{ID: core.ProposalID{7}, Scope: core.Scope{Team: core.TeamID{8}}, Data: []byte("do it"), Sealed: [][]byte{[]byte("secret")}, Proof: core.Proof{1, 31: 2}}
	name := [32]byte{1, 2, 3, 31: 32}
	refusal := core.Refusal{Kind: core.KindLimit, ID: "api.too_many"}.With("max", 5, "reason", "uploads")
	return []sample{
		{"hello", KindHello, false, AppendHello(nil, Hello{Version, samplePosition()}), again(DecodeHello, AppendHello)},
		{"welcome", KindWelcome, false, AppendStatus(nil, Status{Version, samplePosition(), "10.0.0.1:8074", true}), again(DecodeStatus, AppendStatus)},
		{"batch", KindBatch, false, AppendBatch(nil, sampleBatch()), again(DecodeBatch, AppendBatch)},
		{"batch packed", KindBatch, true, AppendBatch(nil, sampleBatch()), again(DecodeBatch, AppendBatch)},
		{"turn", KindTurn, false, AppendTurn(nil, Turn{Diverged: true}), again(DecodeTurn, AppendTurn)},
		{"pulse", KindPulse, false, nil, opaque},
		{"status", KindStatus, false, AppendStatus(nil, Status{Version, samplePosition(), "", false}), again(DecodeStatus, AppendStatus)},
		{"ack", KindAck, false, AppendAck(nil, samplePosition()), again(DecodeAck, AppendAck)},
		{"fetch", KindFetch, false, AppendFetch(nil, Fetch{"snap-1", 1 << 40}), again(DecodeFetch, AppendFetch)},
		{"snapshot", KindSnapshot, false, AppendSnapshotHead(nil, SnapshotHead{"snap-1", samplePosition(), 5}), again(DecodeSnapshotHead, AppendSnapshotHead)},
		{"chunk", KindChunk, false, []byte("table rows"), opaque},
		{"end", KindEnd, false, nil, opaque},
		{"error", KindError, false, AppendError(nil, refusal), func(b []byte) ([]byte, error) {
			return AppendError(nil, core.AsError(DecodeError(b))), nil
		}},
		{"propose", KindPropose, false, AppendPropose(nil, Propose{p, 1500 * time.Millisecond, true}), again(DecodePropose, AppendPropose)},
		{"receipt", KindReceipt, false, AppendReceipt(nil, core.Receipt{Index: 9, Outcome: []byte("done")}), again(DecodeReceipt, AppendReceipt)},
		{"ask", KindAsk, false, AppendAsk(nil, Ask{4, time.Second, []byte("who?")}), again(DecodeAsk, AppendAsk)},
		{"answer", KindAnswer, false, []byte("you"), opaque},
		{"signals", KindSignals, false, nil, opaque},
		{"blob get", KindBlobGet, false, AppendBlobGet(nil, BlobGet{true, name, 1 << 40, 1000}), again(DecodeBlobGet, AppendBlobGet)},
		{"blob get to the end", KindBlobGet, false, AppendBlobGet(nil, BlobGet{false, name, 0, -1}), again(DecodeBlobGet, AppendBlobGet)},
		{"blob put", KindBlobPut, false, AppendBlobPut(nil, BlobPut{false, name, 5 << 30}), again(DecodeBlobPut, AppendBlobPut)},
		{"blob stat", KindBlobStat, false, AppendBlobStat(nil, BlobStat{true, name}), again(DecodeBlobStat, AppendBlobStat)},
		{"blob head", KindBlobHead, false, AppendBlobHead(nil, BlobHead{5 << 30, 1000}), again(DecodeBlobHead, AppendBlobHead)},
	}
}

func encode(t *testing.T, s sample) []byte {
	t.Helper()
	var buf bytes.Buffer
	write := NewWriter(&buf).Write
	if s.packed {
		write = NewWriter(&buf).WritePacked
	}
	if err := write(s.kind, s.body); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestFrames_Golden(t *testing.T) {
	// The bytes of every frame stay the same.
	var out strings.Builder
	for _, s := range samples() {
		if s.packed {
			continue // the compressor may change; only decompression must work
		}
		fmt.Fprintf(&out, "%s\n%s\n", s.name, hex.EncodeToString(encode(t, s)))
	}
	const file = "testdata/frames.txt"
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Fatal(diff)
	}
}

func TestFrames_RoundTrip(t *testing.T) {
	// Every frame decodes to the value that was encoded.
	for _, s := range samples() {
		kind, body, err := NewReader(bytes.NewReader(encode(t, s)), 0).Next()
		if err != nil || kind != s.kind || !bytes.Equal(body, s.body) {
			t.Fatalf("%s: kind %d, body %x, %v", s.name, kind, body, err)
		}
		got, err := s.decode(body)
		if err != nil || !bytes.Equal(got, s.body) {
			t.Fatalf("%s: %x, want %x, %v", s.name, got, s.body, err)
		}
	}
	got, err := DecodeBatch(samples()[2].body)
	if diff := cmp.Diff(sampleBatch(), got); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
}

func TestFrames_Truncated(t *testing.T) {
	// A frame that is cut at any byte gives KindInvalid; no bytes at all give io.EOF.
	for _, s := range samples() {
		whole := encode(t, s)
		for n := range whole {
			_, _, err := NewReader(bytes.NewReader(whole[:n]), 0).Next()
			if n == 0 && !errors.Is(err, io.EOF) || n > 0 && core.KindOf(err) != core.KindInvalid {
				t.Fatalf("%s cut at %d: %v", s.name, n, err)
			}
		}
		for n := range s.body {
			if _, err := s.decode(s.body[:n]); err != nil && core.KindOf(err) != core.KindInvalid {
				t.Fatalf("%s body cut at %d: %v", s.name, n, err)
			}
		}
	}
}

func TestFrames_BitFlips(t *testing.T) {
	// A flipped bit gives another value or KindInvalid, never a panic or another error.
	for _, s := range samples() {
		whole := encode(t, s)
		for i := range len(whole) * 8 {
			bad := bytes.Clone(whole)
			bad[i/8] ^= 1 << (i % 8)
			check(t, bad)
		}
	}
}

func TestReader_HugeLength(t *testing.T) {
	// A length over the limit is refused before anything is read or allocated.
	_, _, err := NewReader(bytes.NewReader([]byte{byte(KindChunk), 0, 255, 255, 255, 255}), 0).Next()
	if core.KindOf(err) != core.KindInvalid {
		t.Fatal(err)
	}
}

func TestReader_ZipBomb(t *testing.T) {
	// A small compressed body is refused if it would decompress to more than the limit.
	var buf bytes.Buffer
	if err := NewWriter(&buf).WritePacked(KindChunk, make([]byte, MaxFrameBytes)); err != nil {
		t.Fatal(err)
	}
	if buf.Len() > 4096 {
		t.Fatalf("bomb has %d bytes", buf.Len())
	}
	_, _, err := NewReader(&buf, 64<<10).Next()
	if core.KindOf(err) != core.KindInvalid {
		t.Fatal(err)
	}
}

func TestWriter_TooLarge(t *testing.T) {
	// A body over the limit is refused by the Writer.
	err := NewWriter(io.Discard).Write(KindChunk, make([]byte, MaxFrameBytes+1))
	if core.KindOf(err) != core.KindTooLarge {
		t.Fatal(err)
	}
}

func TestExpect_Error(t *testing.T) {
	// An error frame instead of an answer gives the error with all its fields.
	var buf bytes.Buffer
	want := core.Refusal{Kind: core.KindConflict, ID: "x.y"}.With("name", "ada")
	want.Message = "taken"
	_ = NewWriter(&buf).Write(KindError, AppendError(nil, want.WithCause(io.EOF)))
	_, err := NewReader(&buf, 0).Expect(KindReceipt)
	if diff := cmp.Diff(want, core.AsError(err)); diff != "" {
		t.Fatal(diff)
	}
}

func TestPacked_Incompressible(t *testing.T) {
	// Bytes that do not compress are sent uncompressed.
	body := make([]byte, 4096)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	var buf bytes.Buffer
	_ = NewWriter(&buf).WritePacked(KindChunk, body)
	if buf.Bytes()[1] != 0 || buf.Len() != headBytes+len(body) {
		t.Fatalf("flags %d, %d bytes", buf.Bytes()[1], buf.Len())
	}
}

func check(t *testing.T, b []byte) {
	t.Helper()
	r := NewReader(bytes.NewReader(b), 1<<20)
	for {
		kind, body, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			if core.KindOf(err) != core.KindInvalid {
				t.Fatalf("%x: %v", b, err)
			}
			return
		}
		for _, s := range samples() {
			if s.kind != kind {
				continue
			}
			if _, err := s.decode(body); err != nil && core.KindOf(err) != core.KindInvalid {
				t.Fatalf("%x: %v", b, err)
			}
		}
	}
}

func FuzzFrame(f *testing.F) {
	// Any bytes give frames or KindInvalid.
	for _, s := range samples() {
		var buf bytes.Buffer
		_ = NewWriter(&buf).Write(s.kind, s.body)
		f.Add(buf.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) { check(t, b) })
}
