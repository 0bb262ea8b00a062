package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/core/replica"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
)

const limit = 30 * time.Second

// home orders proposals as a region does, without Raft, and has every edge of a test apply them.
type home struct {
	t         testing.TB
	asks      chan asked
	blobs     *disk.Store       // the origin, at every edge
	dir       string            // where it is
	configure func(*api.Config) // of each edge; may be nil

	mu    sync.Mutex // guards what follows
	edges []*site
	index core.Index
	at    time.Time
}

type asked struct {
	p     core.Proposal
	reply chan answer
}

type answer struct {
	receipt core.Receipt
	err     error
}

// site is one edge: a replica, an API over it, and how it stands to home.
type site struct {
	*replica.Replica
	home *home
	db   *pg.DB
	api  *api.API
	url  string

	onWait func() // called when somebody waits for what the edge does not have; set before any request

	mu   sync.Mutex // guards what follows
	link edge.Link
	lost core.Index   // how many entries the database has lost
	held bool         // entries wait
	wait []core.Entry // those that do
}

func (s *site) Subscribe() *event.Cursor { return s.Replica.Subscribe() }

// WaitApplied implements edge.View.
func (s *site) WaitApplied(ctx context.Context, i core.Index) error {
	if s.onWait != nil && s.Position().Index < i {
		s.onWait()
	}
	return s.Replica.WaitApplied(ctx, i)
}

// Position implements edge.View.
func (s *site) Position() core.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.Replica.Position()
	p.Index += s.lost
	return p
}

// Link implements edge.View.
func (s *site) Link() edge.Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

func (s *site) setLink(l edge.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
}

// hold keeps entries from the edge; release gives them to it.
func (s *site) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

func (s *site) release() {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	s.mu.Lock()
	entries := s.wait
	s.held, s.wait = false, nil
	s.mu.Unlock()
	if _, err := s.Replica.Apply(context.Background(), entries); err != nil {
		s.home.t.Error(err)
	}
}

func (s *site) take(entries []core.Entry) ([]core.Receipt, error) {
	s.mu.Lock()
	if s.held {
		s.wait = append(s.wait, entries...)
		s.mu.Unlock()
		return nil, nil
	}
	s.mu.Unlock()
	return s.Replica.Apply(context.Background(), entries)
}

// Propose implements edge.Proposer.
func (h *home) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	a := asked{p, make(chan answer, 1)}
	select {
	case h.asks <- a:
	case <-ctx.Done():
		return core.Receipt{}, context.Cause(ctx)
	}
	select {
	case got := <-a.reply:
		return got.receipt, got.err
	case <-ctx.Done():
		return core.Receipt{}, context.Cause(ctx)
	}
}

// order batches proposals, stamps them and has everybody apply them, home first.
func (h *home) order(ctx context.Context) {
	for {
		var batch []asked
		select {
		case a := <-h.asks:
			batch = append(batch, a)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(batch) < 256; {
			select {
			case a := <-h.asks:
				batch = append(batch, a)
			default:
				more = false
			}
		}
		h.apply(batch)
	}
}

func (h *home) apply(batch []asked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entries := make([]core.Entry, len(batch))
	for i, a := range batch {
		h.index++
		h.at = h.at.Add(time.Microsecond)
		if now := time.Now(); now.After(h.at) {
			h.at = now
		}
		entries[i] = core.Entry{Index: h.index, At: h.at, ID: a.p.ID, Scope: a.p.Scope, Data: a.p.Data}
	}
	receipts, err := h.edges[0].take(entries)
	for i, a := range batch {
		got := answer{err: err}
		if err == nil {
			got.receipt = receipts[i]
		}
		a.reply <- got
	}
	for _, e := range h.edges[1:] {
		if _, err := e.take(entries); err != nil {
			h.t.Error(err)
		}
	}
}

// newHome makes a home with one edge, which is at home.
func newHome(t testing.TB) (*home, *site) { return newHomeWith(t, nil) }

// newHomeWith is newHome with another configuration of every edge.
func newHomeWith(t testing.TB, configure func(*api.Config)) (*home, *site) {
	dir := t.TempDir()
	blobs, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	h := &home{t: t, asks: make(chan asked, 1024), blobs: blobs, dir: dir, configure: configure}
	first := h.newSite(nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.order(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h, first
}

// newSite makes an edge that has nothing yet; it must be made before anything is proposed.
func (h *home) newSite(asker edge.Asker) *site {
	t := h.t
	t.Helper()
	cfg := pgtest.Database(t)
	cfg.MaxConns = 8
	db := pgtest.Connect(t, cfg)
	if err := pg.Migrate(t.Context(), db, pg.Schema); err != nil {
		t.Fatal(err)
	}
	rep, err := replica.New(replica.Config{DB: db, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	readers := cfg
	readers.Role = pg.ReaderRole
	s := &site{Replica: rep, home: h, db: db, link: edge.Link{Connected: true}}
	config := api.Config{
		Proposer: h, View: s, Read: read.New(pgtest.Connect(t, readers)), Asker: asker, OpenServer: true, Build: "test",
		Files: api.Files{Blobs: h.blobs, Spool: t.TempDir(), PublicLinks: true},
	}
	if h.configure != nil {
		h.configure(&config)
	}
	s.api, err = api.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- s.api.Run(ctx) }()
	go func() { done <- rep.Run(ctx) }()
	srv := httptest.NewServer(s.api)
	s.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	h.edges = append(h.edges, s)
	return s
}

// client is somebody at an edge.
type client struct {
	t        testing.TB
	site     *site // where they signed up
	url      string
	token    string
	me       core.User
	position string // sent with each request when set; what the last answer said
	roams    bool   // keeps position
}

// place gives where a path of the API is: all but the page of public links are in one place.
func place(path string) string {
	if strings.HasPrefix(path, "/files/") && strings.Contains(path, "/public") {
		return path
	}
	return "/api/v4" + path
}

// do sends a request and gives the answer, decoded into out unless that is nil. A body that
// begins like a form is one.
func (c *client) do(method, path string, body, out any) *http.Response {
	c.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.url+place(path), in)
	if err != nil {
		c.t.Fatal(err)
	}
	if form, ok := body.(string); ok && strings.HasPrefix(form, "--") {
		boundary, _, _ := strings.Cut(form[2:], "\r\n")
		req.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.roams && c.position != "" {
		req.Header.Set("X-Nearside-Position", c.position)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.roams {
		c.position = resp.Header.Get("X-Nearside-Position")
	}
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			c.t.Fatalf("%s %s: %d %q: %v", method, path, resp.StatusCode, raw, err)
		}
	}
	return resp
}

// must is do for a request that has to succeed with a status.
func (c *client) must(status int, method, path string, body, out any) *http.Response {
	c.t.Helper()
	resp := c.do(method, path, body, nil)
	raw, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	if resp.StatusCode != status {
		c.t.Fatalf("%s %s: %d, not %d: %s", method, path, resp.StatusCode, status, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			c.t.Fatalf("%s %s: %q: %v", method, path, raw, err)
		}
	}
	return resp
}

// problem is an error answer.
type problem struct {
	ID        string `json:"id"`
	Message   string `json:"message"`
	Detail    string `json:"detailed_error"`
	RequestID string `json:"request_id"`
	Status    int    `json:"status_code"`
}

// fails is do for a request that has to fail with a status and an id.
func (c *client) fails(status int, id, method, path string, body any) {
	c.t.Helper()
	var p problem
	resp := c.do(method, path, body, &p)
	if resp.StatusCode != status || p.ID != id || p.Status != status || p.Message == "" || p.RequestID == "" {
		c.t.Errorf("%s %s: %d %+v, not %d %s", method, path, resp.StatusCode, p, status, id)
	}
}

// at gives somebody at another edge.
func (c *client) at(s *site) *client {
	other := *c
	other.url = s.url
	return &other
}

const password = "correct horse"

// signUp makes an account and signs it in.
func (s *site) signUp(t testing.TB, name string) *client {
	t.Helper()
	c := &client{t: t, site: s, url: s.url}
	c.must(201, "POST", "/users", map[string]string{"username": name, "email": name + "@example.com", "password": password}, &c.me)
	c.token = c.must(200, "POST", "/users/login", map[string]string{"login_id": name, "password": password}, nil).Header.Get("Token")
	return c
}

func (c *client) newTeam(name string) (t core.Team) {
	c.t.Helper()
	c.must(201, "POST", "/teams", core.Team{Name: name, DisplayName: name, Type: "O", AllowOpenInvite: true}, &t)
	return t
}

func (c *client) newChannel(team core.TeamID, name, kind string) core.ChannelID {
	c.t.Helper()
	var ch struct{ ID core.ChannelID }
	c.must(201, "POST", "/channels", map[string]string{"team_id": team.String(), "name": name, "display_name": name, "type": kind}, &ch)
	return ch.ID
}

func (c *client) joinTeam(team core.TeamID) {
	c.t.Helper()
	c.must(201, "POST", "/teams/"+team.String()+"/members", map[string]string{"team_id": team.String(), "user_id": c.me.ID.String()}, nil)
}

func (c *client) join(ch core.ChannelID) {
	c.t.Helper()
	c.must(201, "POST", "/channels/"+ch.String()+"/members", map[string]string{"user_id": c.me.ID.String()}, nil)
}

func (c *client) post(ch core.ChannelID, text string) (p core.Post) {
	c.t.Helper()
	c.must(201, "POST", "/posts", map[string]string{"channel_id": ch.String(), "message": text}, &p)
	return p
}

func (c *client) reply(root core.Post, text string) (p core.Post) {
	c.t.Helper()
	c.must(201, "POST", "/posts", map[string]string{"channel_id": root.ChannelID.String(), "root_id": root.ID.String(), "message": text}, &p)
	return p
}

// list is a list of posts as clients get it.
type list struct {
	Order   []core.PostID
	Posts   map[core.PostID]core.Post
	Next    string `json:"next_post_id"`
	Prev    string `json:"prev_post_id"`
	HasNext *bool  `json:"has_next"`
}

// texts gives the messages in order, newest first.
func (l list) texts() string {
	var out []string
	for _, id := range l.Order {
		out = append(out, l.Posts[id].Message)
	}
	return strings.Join(out, " ")
}

func (c *client) list(path string, args ...any) (l list) {
	c.t.Helper()
	c.must(200, "GET", fmt.Sprintf(path, args...), nil, &l)
	return l
}
