package api

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Answers of every size come whole and in order over one connection, with bodies and without, whether their head
// is held back or not; and one that the handler's writer refuses leaves nothing behind for the next.
func TestConn_AnswersComeWhole(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	body := func(n int) []byte { return bytes.Repeat([]byte(strconv.Itoa(n)+" "), n)[:n] }
	var direct, held int
	srv := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		c := &Call{Context: r.Context(), Request: r, Writer: w}
		status := http.StatusOK
		if r.URL.RawQuery == "none" {
			status = http.StatusNoContent // may have no body: net/http refuses it
		}
		c.writeWhole(status, body(n))
		if to, ok := r.Context().Value(connKey{}).(*conn); !ok || to.hold || len(to.head) > 0 {
			t.Errorf("a head of %d bytes is still held back", n)
		} else if cap(to.head) > 0 {
			held++
		} else {
			direct++
		}
	}), slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(Listener{l}) }()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxConnsPerHost: 1}}
	for _, n := range []int{0, 1, 100, 2047, 2048, 2049, 3900, 4000, headBuffer - 1, headBuffer, headBuffer + 1, 5000, 2 * headBuffer, 3*headBuffer + 1, 100_000, 5_000_000, 10} {
		for _, query := range []string{"", "none"} {
			a, err := client.Get(fmt.Sprintf("http://%s/%d?%s", l.Addr(), n, query))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(a.Body)
			a.Body.Close()
			want := body(n)
			if query == "none" {
				want = nil
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes%s: %d bytes come, %v", n, query, len(got), err)
			}
		}
	}
	if direct == 0 || held == 0 {
		t.Errorf("%d answers were sent before any head was held back, %d after", direct, held)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	<-served
}

// The head goes out with what follows it, and a caller learns how much of its own was written.
func TestConn_HoldsHead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := Listener{l}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := accepted.(*conn)
	defer c.Close()
	for _, text := range []string{"body", ""} {
		c.hold = true
		for _, part := range []string{"head ", text} {
			if n, err := c.Write([]byte(part)); n != len(part) || err != nil {
				t.Errorf("writing %q gives %d, %v", part, n, err)
			}
		}
		got := make([]byte, 5+len(text))
		if _, err := io.ReadFull(client, got); err != nil || string(got) != "head "+text {
			t.Errorf("%q, %v comes", got, err)
		}
	}
	c.hold = true
	if _, err := c.Write([]byte("head ")); err != nil || string(c.head) != "head " {
		t.Errorf("held back is %q, %v", c.head, err)
	}
	client.Close()
	c.Close()
	if n, err := c.Write([]byte("body")); n != 0 || err == nil {
		t.Errorf("writing to a closed connection gives %d, %v", n, err)
	}
}
