package load

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// RequestTimeout bounds one request, so that a load that gets no answer ends with an error.
const RequestTimeout = 30 * time.Second

// Conn is one kept HTTP connection. It connects at the first request and again after an error.
type Conn struct {
	// From is the client's own address, such as 127.0.3.7; empty: what the system chooses.
	From string
	// Type is that of bodies; empty: JSON.
	Type string

	host  string
	token string
	nc    net.Conn
	r     *bufio.Reader
	out   []byte
	body  []byte
}

// NewConn gives a connection to a base address like http://127.0.0.1:8065 that signs its
// requests with a token, if there is one.
func NewConn(base, token string) *Conn {
	u, err := url.Parse(base)
	if err != nil {
		u = &url.URL{Host: base}
	}
	return &Conn{host: u.Host, token: token}
}

// Answer is the answer to a request. Body is valid until the next request on the same Conn.
type Answer struct {
	Status int
	Token  string // the Token header of a login
	Body   []byte
}

// Do sends a request and reads the whole answer.
func (c *Conn) Do(ctx context.Context, method, path string, body []byte) (Answer, error) {
	if err := c.connect(ctx); err != nil {
		return Answer{}, err
	}
	deadline := time.Now().Add(RequestTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	a, err := c.exchange(deadline, method, path, body)
	if err != nil {
		c.Close()
		return Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return a, nil
}

func (c *Conn) connect(ctx context.Context) error {
	if c.nc != nil {
		return nil
	}
	nc, err := dial(ctx, c.From, c.host)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	c.nc, c.r = nc, bufio.NewReaderSize(nc, 32<<10)
	return nil
}

func dial(ctx context.Context, from, to string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.DialContext(ctx, "tcp", to)
}

// Close drops the connection; the next request opens another one.
func (c *Conn) Close() {
	if c.nc != nil {
		c.nc.Close()
		c.nc = nil
	}
}

func (c *Conn) exchange(deadline time.Time, method, path string, body []byte) (Answer, error) {
	c.nc.SetDeadline(deadline)
	b := append(c.out[:0], method...)
	b = append(b, ' ')
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.host...)
	if c.token != "" {
		b = append(b, "\r\nAuthorization: Bearer "...)
		b = append(b, c.token...)
	}
	if body != nil {
		b = append(b, "\r\nContent-Type: "...)
		b = append(b, cmp.Or(c.Type, "application/json")...)
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	c.out = append(b, body...)
	if _, err := c.nc.Write(c.out); err != nil {
		return Answer{}, fmt.Errorf("write: %w", err)
	}
	return c.answer()
}

var (
	contentLength = []byte("content-length:")
	chunked       = []byte("transfer-encoding: chunked")
	closing       = []byte("connection: close")
	tokenHeader   = []byte("token:")
)

// answer reads a status line, the headers that matter, and the body.
func (c *Conn) answer() (a Answer, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return a, fmt.Errorf("read status: %w", err)
	}
	if len(line) < 12 {
		return a, errors.New("not an HTTP answer")
	}
	a.Status, _ = strconv.Atoi(string(line[9:12]))
	length, inChunks, last := 0, false, false
	for {
		line, err = c.r.ReadSlice('\n')
		if err != nil {
			return a, fmt.Errorf("read header: %w", err)
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		switch {
		case hasFold(line, contentLength):
			length, _ = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):])))
		case hasFold(line, chunked):
			inChunks = true
		case hasFold(line, closing):
			last = true
		case hasFold(line, tokenHeader):
			a.Token = strings.TrimSpace(string(line[len(tokenHeader):]))
		}
	}
	if inChunks {
		err = c.readChunks()
	} else {
		err = c.readBody(length)
	}
	if last {
		c.Close()
	}
	a.Body = c.body
	return a, err
}

func hasFold(line, prefix []byte) bool {
	return len(line) >= len(prefix) && bytes.EqualFold(line[:len(prefix)], prefix)
}

func (c *Conn) readBody(n int) error {
	if cap(c.body) < n {
		c.body = make([]byte, n)
	}
	c.body = c.body[:n]
	if _, err := io.ReadFull(c.r, c.body); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}

func (c *Conn) readChunks() error {
	c.body = c.body[:0]
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read chunk: %w", err)
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return fmt.Errorf("read chunk: %w", err)
		}
		at := len(c.body)
		c.body = append(c.body, make([]byte, n)...)
		if _, err := io.ReadFull(c.r, c.body[at:]); err != nil {
			return fmt.Errorf("read chunk: %w", err)
		}
		if _, err := c.r.Discard(2); err != nil {
			return fmt.Errorf("read chunk: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
}
