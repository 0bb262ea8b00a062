package blob_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

func frame(kind wire.Kind, body []byte) []byte {
	var b bytes.Buffer
	_ = wire.NewWriter(&b).Write(kind, body)
	return b.Bytes()
}

func putRequest(size int64) []byte {
	return frame(wire.KindBlobPut, wire.AppendBlobPut(nil, wire.BlobPut{Name: [32]byte{1}, Size: size}))
}

func head(size, length int64) []byte {
	return frame(wire.KindBlobHead, wire.AppendBlobHead(nil, wire.BlobHead{Size: size, Length: length}))
}

func TestServer_BadRequests(t *testing.T) {
	// Malformed requests are answered with core.KindInvalid, and so are blobs with too many or
	// too few bytes; the connection continues.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m})
	e := w.node("e", nil, nil, link.RoleEdge)
	ctx := within(t, eventually.Limit)
	conn, err := e.Dial(ctx, h.Addr(), link.ClassBlob)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(link.CodeDone, "")
	for name, say := range map[string][]byte{
		"nothing sensible": []byte("GET / HTTP/1.1\r\n\r\n"),
		"another kind":     frame(wire.KindHello, nil),
		"no fields":        frame(wire.KindBlobGet, nil),
		"a field too many": frame(wire.KindBlobStat, make([]byte, 40)),
		"huge":             {byte(wire.KindBlobGet), 0, 255, 255, 255, 255},
		"too few bytes":    append(putRequest(10), "123456789"...),
		"too many bytes":   append(putRequest(10), "1234567890a"...),
		"no bytes":         append(putRequest(0), 'a'),
	} {
		st, err := conn.OpenStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = st.Write(say)
		_ = st.CloseWrite()
		_ = st.SetReadDeadline(time.Now().Add(eventually.Limit))
		kind, body, err := wire.NewReader(st, 0).Next()
		if kind != wire.KindError || err != nil {
			t.Fatalf("%s: frame %d, %v", name, kind, err)
		}
		wantKind(t, name, wire.DecodeError(body), core.KindInvalid)
	}
	if m.count() != 0 {
		t.Error("something was kept")
	}
}

func TestClient_BadAnswers(t *testing.T) {
	// If a home node's answer does not match the request, the result is an error, never wrong
	// bytes with a clean end.
	quiet(t)
	w := newWorld(t)
	for name, say := range map[string][]byte{
		"nothing":           nil,
		"no frame":          []byte("HTTP/1.1 200 OK\r\n\r\nhello world"),
		"another kind":      frame(wire.KindWelcome, nil),
		"a bad head":        frame(wire.KindBlobHead, []byte{1}),
		"a longer part":     append(head(20, 11), "hello world"...),
		"a shorter part":    append(head(20, 9), "hello wor"...),
		"more than whole":   append(head(5, 10), "hello worl"...),
		"an early end":      append(head(20, 10), "hello wor"...),
		"no end":            append(head(20, 10), "hello worl"...),
		"extra bytes":       append(head(20, 10), append([]byte("hello world"), frame(wire.KindEnd, nil)...)...),
		"a bad error":       frame(wire.KindError, []byte{255}),
		"an error half way": append(head(20, 10), frame(wire.KindError, wire.AppendError(nil, core.E(core.KindNotFound, "gone")))...),
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, ca: w.ca}
			h := w.node("h", nil, func(ctx context.Context, conn *link.Conn) {
				for {
					st, err := conn.AcceptStream(ctx)
					if err != nil {
						return
					}
					_, _ = io.ReadAll(st)
					_, _ = st.Write(say)
					_ = st.Close()
				}
			}, link.RoleHome)
			e := w.node("e", nil, nil, link.RoleEdge)
			c := w.client(e, blob.Config{Patience: 50 * time.Millisecond}, h)
			if b, _, err := read(within(t, eventually.Limit), c, [32]byte{}, 0, 10); err == nil {
				t.Errorf("%q and a clean end", b)
			}
			if name != "a longer part" && name != "a shorter part" && name != "an early end" && name != "no end" && name != "extra bytes" &&
				name != "an error half way" && name != "more than whole" {
				if _, err := c.Stat(within(t, eventually.Limit), [32]byte{}); err == nil {
					t.Error("and a size")
				}
			}
		})
	}
}
