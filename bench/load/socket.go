package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	opText, opClose, opPing, opPong = 1, 8, 9, 10

	maxFrameBytes = 4 << 20
)

// Socket is a signed-in WebSocket that only listens.
type Socket struct {
	nc  net.Conn
	r   *bufio.Reader
	buf []byte
}

// Listen opens a socket at the person's edge and waits for its hello.
func (p Person) Listen(ctx context.Context) (*Socket, error) {
	s, err := p.Upgrade(ctx)
	if err != nil {
		return nil, err
	}
	hello, err := s.Next()
	if err != nil || !bytes.Contains(hello, []byte(`"hello"`)) {
		s.nc.Close()
		return nil, fmt.Errorf("no hello but %.80q: %w", hello, err)
	}
	s.nc.SetDeadline(time.Time{})
	return s, nil
}

// Upgrade opens a socket at the person's edge and waits for nothing more. Without a token nobody is signed in on it.
func (p Person) Upgrade(ctx context.Context) (*Socket, error) {
	host := strings.TrimPrefix(p.Base, "http://")
	nc, err := dial(ctx, p.From, host)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s := &Socket{nc: nc, r: bufio.NewReaderSize(nc, 4<<10)}
	nc.SetDeadline(time.Now().Add(RequestTimeout))
	if err := s.upgrade(host, p.Token); err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

func (s *Socket) upgrade(host, token string) error {
	if token != "" {
		token = "Authorization: Bearer " + token + "\r\n"
	}
	_, err := fmt.Fprintf(s.nc, "GET /api/v4/websocket HTTP/1.1\r\nHost: %s\r\n%s"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bmVhcnNpZGUtYmVuY2ghIQ==\r\n\r\n", host, token)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	answer, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return &Problem{What: "upgrade", Status: answer.StatusCode}
	}
	return nil
}

// Next gives the next message, which is valid until the next call. It answers pings.
func (s *Socket) Next() ([]byte, error) {
	for {
		op, err := s.frame()
		if err != nil {
			return nil, err
		}
		switch op {
		case opText:
			return s.buf, nil
		case opClose:
			return nil, fmt.Errorf("closed by the server: %q", s.buf)
		case opPing:
			if err := s.pong(); err != nil {
				return nil, err
			}
		}
	}
}

// frame reads one frame into buf. Our servers neither mask nor split messages.
func (s *Socket) frame() (op byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(s.r, head[:2]); err != nil {
		return 0, err
	}
	op = head[0] & 15
	n := uint64(head[1] & 127)
	switch n {
	case 126:
		_, err = io.ReadFull(s.r, head[:2])
		n = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(s.r, head[:8])
		n = binary.BigEndian.Uint64(head[:8])
	}
	if err != nil {
		return 0, err
	}
	if n > maxFrameBytes {
		return 0, fmt.Errorf("a frame of %d bytes", n)
	}
	if uint64(cap(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	s.buf = s.buf[:n]
	_, err = io.ReadFull(s.r, s.buf)
	return op, err
}

// pong answers a ping; the mask is zero, which leaves the bytes as they are.
func (s *Socket) pong() error {
	out := append([]byte{0x80 | opPong, 0x80 | byte(len(s.buf)), 0, 0, 0, 0}, s.buf...)
	_, err := s.nc.Write(out)
	return err
}

// Close ends the socket.
func (s *Socket) Close() { s.nc.Close() }

var postedEvent = []byte(`"event":"posted"`)

// PostedNumber gives the number after a mark in the message of a `posted` event.
func PostedNumber(message []byte, mark string) (int, bool) {
	if !bytes.Contains(message, postedEvent) {
		return 0, false
	}
	at := bytes.Index(message, []byte(mark))
	if at < 0 {
		return 0, false
	}
	digits := message[at+len(mark):]
	end := 0
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(string(digits[:end]))
	return n, err == nil
}
