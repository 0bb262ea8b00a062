// Package scan sends bytes to a virus scanner before they are stored. By default there is no
// scanner; Clamd talks to ClamAV's daemon. The package decides nothing: the caller decides what
// an infected file or an unreachable scanner means.
//
// A Clamd is immutable and safe for concurrent use. Each Scan is one connection with one
// deadline, closed before Scan returns.
package scan

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

// Verdict is a scanner's answer; the zero value is clean.
type Verdict struct {
	Infected  bool
	Signature string // the name of the virus
}

// Scanner reads r to its end and scans it. Errors, never a clean verdict: core.KindUnavailable if
// the scanner cannot be reached or its answer is not understood, core.KindTimeout if it is too
// slow, core.KindTooLarge if the content is over its limit.
type Scanner interface {
	Scan(ctx context.Context, r io.Reader) (Verdict, error)
}

const (
	chunkBytes  = 64 << 10
	answerBytes = 4 << 10
)

// Config says where clamd listens.
type Config struct {
	Network string        // "unix" or "tcp"
	Address string        // a socket's path, or host:port
	Timeout time.Duration // of a whole scan; zero means a minute
}

// Clamd is a Scanner that streams to ClamAV's daemon with INSTREAM.
type Clamd struct{ cfg Config }

// NewClamd checks cfg; it does not connect.
func NewClamd(cfg Config) (*Clamd, error) {
	if cfg.Network != "unix" && cfg.Network != "tcp" || cfg.Address == "" || cfg.Timeout < 0 {
		return nil, core.E(core.KindInvalid, "clamd listens on a unix or tcp address")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	return &Clamd{cfg}, nil
}

// Scan implements Scanner.
func (c *Clamd) Scan(ctx context.Context, r io.Reader) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, c.cfg.Network, c.cfg.Address)
	if err != nil {
		return Verdict{}, failed(ctx, "reach clamd", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends a running read or write
	sent := send(conn, r)
	var src sourceError
	if errors.As(sent, &src) {
		return Verdict{}, core.AsError(fmt.Errorf("read for clamd: %w", src.error))
	}
	// If the stream exceeds clamd's limit, clamd answers and hangs up while we still send: read
	// the answer, it is better than the write error.
	line, err := bufio.NewReader(io.LimitReader(conn, answerBytes)).ReadString(0)
	if err == nil {
		return parse(line[:len(line)-1])
	}
	if sent != nil {
		err = sent
	}
	return Verdict{}, failed(ctx, "ask clamd", err)
}

// sourceError is an error of the reader, not of clamd.
type sourceError struct{ error }

// send writes r in chunks, each after its size; a size of zero ends the stream.
func send(w io.Writer, r io.Reader) error {
	if _, err := io.WriteString(w, "zINSTREAM\x00"); err != nil {
		return err
	}
	buf := make([]byte, 4+chunkBytes)
	for {
		n, err := io.ReadFull(r, buf[4:])
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return sourceError{err}
		}
		if n > 0 {
			binary.BigEndian.PutUint32(buf, uint32(n))
			if _, err := w.Write(buf[:4+n]); err != nil {
				return err
			}
		}
		if last {
			_, err := w.Write(make([]byte, 4))
			return err
		}
	}
}

func parse(line string) (Verdict, error) {
	result, ok := strings.CutPrefix(line, "stream: ")
	if name, found := strings.CutSuffix(result, " FOUND"); ok && found {
		return Verdict{Infected: true, Signature: name}, nil
	}
	switch {
	case ok && result == "OK":
		return Verdict{}, nil
	case strings.HasPrefix(line, "INSTREAM size limit exceeded"):
		return Verdict{}, core.E(core.KindTooLarge, "the file is larger than the scanner accepts")
	}
	return Verdict{}, core.E(core.KindUnavailable, "the scanner's answer is not a verdict").WithCause(fmt.Errorf("clamd says %q", line))
}

func failed(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return core.AsError(fmt.Errorf("%s: %w", doing, ctx.Err()))
	}
	return core.E(core.KindUnavailable, "the scanner cannot be reached").WithCause(fmt.Errorf("%s: %w", doing, err))
}
