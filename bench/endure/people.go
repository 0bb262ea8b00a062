package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/check"
	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/core/backoff"
)

const (
	perEdge    = 4
	roomCount  = 4
	maxAtOnce  = 1024 // requests of one kind; a stall of a minute is fewer
	patience   = time.Minute
	retryPause = 50 * time.Millisecond
	pageSize   = 60 // as clients ask for
	pictureEnd = 128
	mark       = "endure-"
)

// sample is one request of a person, from when it was due to its answer.
type sample struct {
	kind         string
	began, ended time.Time
}

// refusal is one try of a person that was not served.
type refusal struct {
	at   time.Time
	what string
}

// stored is an uploaded file.
type stored struct {
	id  string
	sum [sha256.Size]byte
}

// people use the deployment at a steady rate.
type people struct {
	all   []load.Person
	urls  []string // of the edges
	rooms []string // channels
	conns sync.Map // pools of connections, *sync.Pool by [2]string{person, edge}

	mu       sync.Mutex // guards all below
	writes   map[string][]check.Write
	files    []stored
	samples  []sample
	refused  []refusal
	gaveUp   []string
	sent     map[int]time.Time // by number of the message, when it was due
	dropped  []time.Time       // sockets, by when
	repeated int               // messages that came twice on one socket
}

// kind is something that people do again and again.
type kind struct {
	name  string
	every time.Duration
	do    func(p *people, ctx context.Context, n int) error
}

const event = "post to event at another edge" // kind of the samples that sockets give

var kinds = []kind{
	{"post", time.Second / 15, (*people).post},
	{"page of a channel", time.Second / 15, (*people).page},
	{"mark as read", time.Second / 3, (*people).view},
	{"search", time.Second / 2, (*people).search},
	{"upload and post of a picture", 2 * time.Second, (*people).upload},
	{"download", time.Second / 2, (*people).download},
	{"sign in", 5 * time.Second, (*people).signIn},
}

// meet signs everybody up, each at an address of their own, and lets them into a team that only they can join.
func meet(ctx context.Context, urls []string) (*people, error) {
	p := &people{urls: urls, writes: map[string][]check.Write{}, sent: map[int]time.Time{}}
	for i := range perEdge * len(urls) {
		who, err := load.Person{Base: urls[i%len(urls)], Name: fmt.Sprintf("person-%d", i), From: fmt.Sprintf("127.0.%d.1", 10+i)}.SignUp(ctx)
		if err != nil {
			return nil, fmt.Errorf("sign up: %w", err)
		}
		p.all = append(p.all, who)
	}
	first := p.all[0].Conn()
	defer first.Close()
	var team struct{ ID string }
	if _, err := first.Call(ctx, "POST", "teams", map[string]string{"name": "crew", "display_name": "Crew", "type": "I"}, &team); err != nil {
		return nil, fmt.Errorf("make a team: %w", err)
	}
	for i := range roomCount {
		var room struct{ ID string }
		name := "room-" + strconv.Itoa(i)
		if _, err := first.Call(ctx, "POST", "channels", map[string]string{"team_id": team.ID, "name": name, "display_name": name, "type": "O"}, &room); err != nil {
			return nil, fmt.Errorf("make a channel: %w", err)
		}
		p.rooms = append(p.rooms, room.ID)
	}
	for _, who := range p.all[1:] {
		for _, room := range p.rooms {
			if err := p.all[0].Invite(ctx, load.Room{Team: team.ID, Channel: room}, who); err != nil {
				return nil, fmt.Errorf("invite: %w", err)
			}
		}
	}
	return p, nil
}

const (
	attic    = 80 << 20              // bytes of messages; the largest cache of a node takes 64 MiB
	longNote = 15_000                // bytes
	notePace = 60 * time.Millisecond // for each person, slower than a limit of 20 in a second
)

// fill fills the caches of all nodes, so that memory which grows later does not grow because of them.
func (p *people) fill(ctx context.Context) error {
	first := p.all[0].Conn()
	defer first.Close()
	var team, room struct{ ID string }
	if _, err := first.Call(ctx, http.MethodPost, "teams", map[string]string{"name": "attic", "display_name": "Attic", "type": "I"}, &team); err != nil {
		return err
	}
	if _, err := first.Call(ctx, http.MethodPost, "channels", map[string]string{"team_id": team.ID, "name": "attic", "display_name": "Attic", "type": "O"}, &room); err != nil {
		return err
	}
	for _, who := range p.all[1:] {
		if err := p.all[0].Invite(ctx, load.Room{Team: team.ID, Channel: room.ID}, who); err != nil {
			return err
		}
	}
	each := attic / longNote / len(p.all)
	errs := make([]error, len(p.all))
	var wg sync.WaitGroup
	for i, who := range p.all {
		wg.Go(func() {
			c := who.Conn()
			defer c.Close()
			for n := range each {
				message := fmt.Sprintf("%d %d ", i, n) + strings.Repeat("attic ", longNote/6)
				if _, errs[i] = c.Call(ctx, http.MethodPost, "posts", map[string]string{"channel_id": room.ID, "message": message}, nil); errs[i] != nil || !backoff.Pause(ctx, notePace) {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// run has people work until ctx ends, and returns when the last request is answered. It gives how many requests
// were not begun because too many were under way.
func (p *people) run(ctx context.Context) (skipped int) {
	var wg sync.WaitGroup
	for i := range p.all {
		wg.Go(func() { p.listen(ctx, i) })
	}
	missing := make([]int, len(kinds))
	for i, k := range kinds {
		wg.Go(func() {
			missing[i] = load.Open(ctx, k.every, maxAtOnce, func(n int) { p.once(context.WithoutCancel(ctx), k, n) })
		})
	}
	wg.Wait()
	for _, n := range missing {
		skipped += n
	}
	return skipped
}

func (p *people) once(ctx context.Context, k kind, n int) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := k.do(p, ctx, n)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.gaveUp = append(p.gaveUp, fmt.Sprintf("%s: %v", k.name, err))
		return
	}
	p.samples = append(p.samples, sample{k.name, began, time.Now()})
}

// call asks the person's own edge, and the next one if there is no answer, until it is served, as clients do.
func (p *people) call(ctx context.Context, person int, contentType string, ask func(c *load.Conn) error) (edge int, err error) {
	who := p.all[person]
	edge = person % len(p.urls)
	for {
		who.Base = p.urls[edge]
		pool, _ := p.conns.LoadOrStore([2]string{who.Name, who.Base}, &sync.Pool{})
		c, ok := pool.(*sync.Pool).Get().(*load.Conn)
		if !ok {
			c = who.Conn()
		}
		c.Type = contentType
		if err = ask(c); err == nil {
			pool.(*sync.Pool).Put(c)
			return edge, nil
		}
		var refused *load.Problem
		if errors.As(err, &refused) {
			pool.(*sync.Pool).Put(c)
			p.note(strconv.Itoa(refused.Status) + " " + refused.ID)
			if refused.Status == http.StatusBadRequest || refused.Status == http.StatusForbidden {
				return edge, err // for good
			}
		} else {
			c.Close()
			p.note("no answer")
			edge = (edge + 1) % len(p.urls)
		}
		if !backoff.Pause(ctx, retryPause) {
			return edge, fmt.Errorf("after %s: %w", patience, err)
		}
	}
}

func (p *people) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, refusal{time.Now(), what})
}

func (p *people) room(n int) string { return p.rooms[n/len(p.all)%len(p.rooms)] }

// post posts a message until it is acknowledged. Its pending id makes the tries one post.
func (p *people) post(ctx context.Context, n int) error {
	p.mu.Lock()
	p.sent[n] = time.Now()
	p.mu.Unlock()
	return p.write(ctx, n, mark+strconv.Itoa(n)+" the quick brown fox")
}

func (p *people) write(ctx context.Context, n int, message string, files ...string) error {
	person, room := n%len(p.all), p.room(n)
	who := p.all[person]
	w := check.Write{Message: message, Writer: who.Name, Sent: time.Now()}
	body := map[string]any{"channel_id": room, "message": message, "pending_post_id": who.ID + ":" + message, "file_ids": files}
	edge, err := p.call(ctx, person, "", func(c *load.Conn) error {
		var made load.Post
		_, err := c.Call(ctx, http.MethodPost, "posts", body, &made)
		w.PostID = made.ID
		return err
	})
	if err == nil {
		w.Acked, w.Edge = time.Now(), p.urls[edge]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes[room] = append(p.writes[room], w)
	return err
}

// ask is call for a request of JSON.
func (p *people) ask(ctx context.Context, n int, method, path string, in any) error {
	_, err := p.call(ctx, n%len(p.all), "", func(c *load.Conn) error {
		_, err := c.Call(ctx, method, path, in, nil)
		return err
	})
	return err
}

func (p *people) page(ctx context.Context, n int) error {
	return p.ask(ctx, n, http.MethodGet, fmt.Sprintf("channels/%s/posts?page=0&per_page=%d", p.room(n), pageSize), nil)
}

func (p *people) view(ctx context.Context, n int) error {
	return p.ask(ctx, n, http.MethodPost, "channels/members/me/view", map[string]string{"channel_id": p.room(n)})
}

func (p *people) search(ctx context.Context, n int) error {
	return p.ask(ctx, n, http.MethodPost, "users/search", map[string]any{"term": fmt.Sprintf("person-%d", n%len(p.all)), "limit": 25})
}

// upload uploads a picture, from which the edge makes small ones, and posts it.
func (p *people) upload(ctx context.Context, n int) error {
	content := picture(uint64(n))
	var made struct {
		Infos []load.File `json:"file_infos"`
	}
	_, err := p.call(ctx, n%len(p.all), "application/octet-stream", func(c *load.Conn) error {
		a, err := c.Do(ctx, http.MethodPost, "/api/v4/files?filename=noise.png&channel_id="+p.room(n), content)
		if err != nil {
			return err
		}
		if a.Status != http.StatusCreated {
			return problem(a)
		}
		return json.Unmarshal(a.Body, &made)
	})
	if err != nil {
		return err
	}
	if len(made.Infos) != 1 {
		return fmt.Errorf("an upload gives %d files", len(made.Infos))
	}
	if err := p.write(ctx, n, "picture "+strconv.Itoa(n), made.Infos[0].ID); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = append(p.files, stored{made.Infos[0].ID, sha256.Sum256(content)})
	return nil
}

func problem(a load.Answer) error {
	said := &load.Problem{}
	if json.Unmarshal(a.Body, said) != nil || said.Status == 0 {
		said.Status, said.Text = a.Status, string(a.Body)
	}
	return said
}

// picture gives a small PNG that no other number has.
func picture(n uint64) []byte {
	rnd := rand.New(rand.NewPCG(n, 8))
	m := image.NewGray(image.Rect(0, 0, pictureEnd, pictureEnd))
	for i := range m.Pix {
		m.Pix[i] = byte(rnd.Uint32())
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err) // memory takes everything
	}
	return b.Bytes()
}

// download reads one of the uploaded files and compares it.
func (p *people) download(ctx context.Context, n int) error {
	p.mu.Lock()
	var f stored
	if len(p.files) > 0 {
		f = p.files[n%len(p.files)]
	}
	p.mu.Unlock()
	if f.id == "" {
		return nil
	}
	return p.compare(ctx, n, f)
}

func (p *people) compare(ctx context.Context, n int, f stored) error {
	var wrong error
	_, err := p.call(ctx, n%len(p.all), "", func(c *load.Conn) error {
		a, err := c.Do(ctx, http.MethodGet, "/api/v4/files/"+f.id, nil)
		if err != nil {
			return err
		}
		if a.Status != http.StatusOK {
			return problem(a)
		}
		if sha256.Sum256(a.Body) != f.sum {
			wrong = fmt.Errorf("the content of file %s is another one", f.id)
		}
		return nil
	})
	return errors.Join(err, wrong)
}

// signIn signs in once more, where the person has signed in before.
func (p *people) signIn(ctx context.Context, n int) error {
	return p.ask(ctx, n, http.MethodPost, "users/login", map[string]string{"login_id": p.all[n%len(p.all)].Name, "password": load.Password})
}

// listen holds a socket, opens it again when it is closed, and notes when a message of somebody at another edge comes.
func (p *people) listen(ctx context.Context, person int) {
	who := p.all[person]
	for edge := person; ctx.Err() == nil; edge++ {
		who.Base = p.urls[edge%len(p.urls)]
		s, err := who.Listen(ctx)
		if err != nil {
			backoff.Pause(ctx, retryPause)
			continue
		}
		p.hear(ctx, s, person)
	}
}

func (p *people) hear(ctx context.Context, s *load.Socket, person int) {
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	heard := map[int]bool{}
	for {
		message, err := s.Next()
		now := time.Now()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.mu.Lock()
			p.dropped = append(p.dropped, now)
			p.mu.Unlock()
			return
		}
		n, ok := load.PostedNumber(message, mark)
		if !ok {
			continue
		}
		p.mu.Lock()
		if heard[n] {
			p.repeated++
		}
		heard[n] = true
		if n%len(p.urls) != person%len(p.urls) {
			p.samples = append(p.samples, sample{event, p.sent[n], now})
		}
		p.mu.Unlock()
	}
}
