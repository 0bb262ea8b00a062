package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/core/backoff"
)

const (
	abuseAtOnce  = 12     // connections
	longPosts    = 150    // in a channel of the account's own
	longPost     = 15_000 // bytes
	largePicture = 5000   // pixels each way
	idleSockets  = 1500
)

// abuser is one account that takes what it can get.
type abuser struct {
	me    load.Person
	room  load.Room
	urls  []string
	names []string // whose passwords it guesses
	large []byte   // a picture that is expensive to decode

	mu      sync.Mutex // guards all below
	answers map[string]map[string]int
}

// flood is one way to take too much. Each call is one request of one connection.
type flood struct {
	name string
	ask  func(a *abuser, ctx context.Context, c *load.Conn, n int) (status int, err error)
}

var floods = []flood{
	{"lists", (*abuser).lists},
	{"searches", (*abuser).searches},
	{"posts", (*abuser).posts},
	{"wrong passwords", (*abuser).guess},
	{"large pictures", (*abuser).pictures},
	{"idle sockets", (*abuser).sockets},
	{"sign-ups", (*abuser).signUps},
}

// newAbuser signs up and fills a channel with what makes large answers.
func newAbuser(ctx context.Context, urls, names []string) (*abuser, error) {
	me, err := load.Person{Base: urls[0], Name: "mallory", From: "127.0.200.1"}.SignUp(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign up: %w", err)
	}
	a := &abuser{me: me, urls: urls, names: names, answers: map[string]map[string]int{}}
	if a.room, err = me.NewRoom(ctx, "mallorys"); err != nil {
		return nil, err
	}
	c := me.Conn()
	defer c.Close()
	for n := range longPosts {
		if status, err := a.posts(ctx, c, n); err != nil || status != http.StatusCreated {
			return nil, fmt.Errorf("fill a channel: %d %w", status, err)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, largePicture, largePicture))); err != nil {
		return nil, err
	}
	a.large = b.Bytes()
	return a, nil
}

// run abuses one edge until ctx ends.
func (a *abuser) run(ctx context.Context, f flood, edge int) {
	me := a.me
	me.Base = a.urls[edge%len(a.urls)]
	var wg sync.WaitGroup
	for k := range abuseAtOnce {
		wg.Go(func() {
			c := me.Conn()
			defer c.Close()
			for n := k; ctx.Err() == nil; n += abuseAtOnce {
				status, err := f.ask(a, ctx, c, n)
				switch {
				case ctx.Err() != nil:
				case err != nil:
					a.note(f.name, "no answer")
					backoff.Pause(ctx, retryPause)
				default:
					a.note(f.name, strconv.Itoa(status))
				}
			}
		})
	}
	wg.Wait()
}

func (a *abuser) note(flood, answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.answers[flood] == nil {
		a.answers[flood] = map[string]int{}
	}
	a.answers[flood][answer]++
}

// send sends JSON and gives the status.
func send(ctx context.Context, c *load.Conn, method, path string, in any) (int, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return 0, err
		}
	}
	answer, err := c.Do(ctx, method, "/api/v4/"+path, body)
	return answer.Status, err
}

func (a *abuser) lists(ctx context.Context, c *load.Conn, n int) (int, error) {
	if n%4 == 0 {
		return send(ctx, c, http.MethodGet, "users?per_page=200", nil)
	}
	return send(ctx, c, http.MethodGet, "channels/"+a.room.Channel+"/posts?per_page=200", nil)
}

func (a *abuser) searches(ctx context.Context, c *load.Conn, n int) (int, error) {
	if n%2 == 0 {
		return send(ctx, c, http.MethodPost, "files/search", map[string]any{"terms": "noise png p* e* r*", "is_or_search": true})
	}
	return send(ctx, c, http.MethodPost, "users/search", map[string]any{"term": "e", "limit": 1000})
}

func (a *abuser) posts(ctx context.Context, c *load.Conn, n int) (int, error) {
	return send(ctx, c, http.MethodPost, "posts", map[string]string{
		"channel_id": a.room.Channel, "message": strconv.Itoa(n) + strings.Repeat(" @all #tag", longPost/10),
	})
}

func (a *abuser) guess(ctx context.Context, c *load.Conn, n int) (int, error) {
	return send(ctx, c, http.MethodPost, "users/login", map[string]string{"login_id": a.names[n%len(a.names)], "password": "guess " + strconv.Itoa(n)})
}

func (a *abuser) pictures(ctx context.Context, c *load.Conn, n int) (int, error) {
	c.Type = "application/octet-stream"
	defer func() { c.Type = "" }()
	answer, err := c.Do(ctx, http.MethodPost, fmt.Sprintf("/api/v4/files?filename=large-%d.png&channel_id=%s", n, a.room.Channel), a.large)
	return answer.Status, err
}

func (a *abuser) signUps(ctx context.Context, c *load.Conn, n int) (int, error) {
	name := fmt.Sprintf("puppet-%d-%d", time.Now().UnixNano(), n)
	return send(ctx, c, http.MethodPost, "users", map[string]string{"username": name, "email": name + "@example.com", "password": load.Password})
}

// sockets opens connections that ask for a socket and then say nothing, and holds them until ctx ends.
func (a *abuser) sockets(ctx context.Context, _ *load.Conn, n int) (int, error) {
	if n > idleSockets {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	who := a.me
	who.Token = ""
	who.Base = a.urls[n%len(a.urls)]
	s, err := who.Upgrade(ctx)
	var refused *load.Problem
	switch {
	case errors.As(err, &refused):
		return refused.Status, nil
	case err != nil:
		return 0, err
	}
	context.AfterFunc(ctx, s.Close)
	return http.StatusSwitchingProtocols, nil
}
