package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
)

// Place is where the administration of a node is reached: by its socket, or else by TCP.
type Place struct {
	Socket string // path
	URL    string // http://HOST:PORT
	Token  string // for URL
}

// String names the place for people.
func (p Place) String() string {
	if p.Socket != "" {
		return p.Socket
	}
	return p.URL
}

// Ask sends a request and gives the answer, whose body the caller closes.
func (p Place) Ask(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	base, client := p.URL, http.DefaultClient
	if p.Socket != "" {
		base = "http://localhost"
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx, p.Socket)
		}}}
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return nil, err
	}
	if p.Token != "" && p.Socket == "" {
		req.Header.Set("Authorization", bearer+p.Token)
	}
	resp, err := client.Do(req)
	if wrapped := new(url.Error); p.Socket != "" && errors.As(err, &wrapped) {
		err = wrapped.Err // the address in it means nothing
	}
	return resp, err
}

// dial connects to a socket, however long its path is where the system allows it.
func dial(ctx context.Context, path string) (net.Conn, error) {
	dir, name := filepath.Split(path)
	short, done, err := reachable(dir)
	if err != nil {
		return nil, unreachable(path, err)
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(short, name))
	if op := new(net.OpError); errors.As(err, &op) {
		err = unreachable(path, op.Err)
	}
	return conn, err
}

func unreachable(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("only the user that runs the node may use its socket %s: %w", path, err)
	}
	return fmt.Errorf("connect to %s: %w", path, err)
}
