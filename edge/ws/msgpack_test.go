package ws

import (
	"runtime"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/vmihailenco/msgpack/v5"
)

// A frame that announces more elements than it has bytes for is refused before memory is
// allocated: a dozen bytes of an unauthenticated client must not cost gigabytes.
func TestDecode_ClaimsMoreThanItHas(t *testing.T) {
	begin := "\x81\xa4data\x81\xa1x" // {"data": {"x": …
	for name, frame := range map[string]string{
		"array of 16M": begin + "\xdd\x01\x00\x00\x00", "map of 16M": begin + "\xdf\x00\x20\x00\x00", "data of 2M": "\x81\xa4data\xdf\x00\x20\x00\x00",
		"arrays in arrays": begin + strings.Repeat("\xdc\x7f\xff", 1000), "text of 2 GB": begin + "\xdb\x7f\xff\xff\xff",
		"bytes of 2 GB": begin + "\xc6\x7f\xff\xff\xff", "deep": begin + strings.Repeat("\x91", 8000) + "\xc0", "cut off": begin + "\xcd\x01",
		"nothing": "", "two values": "\x80\x80", "extension": begin + "\xc7\x05\x01abcde",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decode(websocket.BinaryMessage, []byte(frame))
		runtime.ReadMemStats(&after)
		if made := after.TotalAlloc - before.TotalAlloc; err == nil || made > 1<<20 {
			t.Errorf("%s: %v, and %d bytes were made", name, err, made)
		}
	}
}

// Any input gives a request or an error, and what real clients send gives a request.
func FuzzDecode_Binary(f *testing.F) {
	raw, err := msgpack.Marshal(map[string]any{"seq": 300, "action": "x", "data": map[string]any{
		"a": []any{1, -7, 70_000, 1 << 40, 1.5, true, nil, strings.Repeat("y", 40), strings.Repeat("z", 300), []byte("b")}, "m": map[string]any{},
	}})
	if err != nil {
		f.Fatal(err)
	}
	if r, err := decode(websocket.BinaryMessage, raw); err != nil || r.Seq != 300 || len(r.Data["a"].([]any)) != 10 {
		f.Fatalf("%+v, %v", r, err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) <= RequestBytes {
			_, _ = decode(websocket.BinaryMessage, raw)
		}
	})
}
