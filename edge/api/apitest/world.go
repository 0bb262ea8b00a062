package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/guard"
	"github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/core/replica"
	"github.com/nearside/nearside/core/secrettest"
	"github.com/nearside/nearside/core/trail"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api/areas"
	"github.com/nearside/nearside/edge/api/files"
	"github.com/nearside/nearside/edge/catalogue"
	"github.com/nearside/nearside/edge/rate"
)

// Limit is how long a test waits for anything.
const Limit = time.Minute

// Home orders proposals like a region, but without Raft, and makes every edge of a test apply
// them.
type Home struct {
	T     testing.TB
	Blobs *disk.Store  // the origin of every edge
	Dir   string       // its directory
	Guard *guard.Guard // checks passwords, at the first edge
	Trail *trail.Trail // what home adds to the audit trail

	Secrets *secrettest.Secrets // that requests and answers have had

	asks      chan asked
	checked   sync.Once           // secrets were looked for
	configure func(*areas.Config) // changes the configuration of each edge; may be nil

	mu    sync.Mutex // guards everything below
	edges []*Site
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

// Site is one edge: a replica, an API over it, and its link to home.
type Site struct {
	*replica.Replica
	Home *Home
	DB   *pg.DB
	API  *areas.API
	URL  string

	Guard  *guard.Guard // of the home node that the edge asks; Home.Guard if nil
	OnWait func()       // called when a request waits for an index that the edge has not applied; set before any request

	mu   sync.Mutex // guards everything below
	link edge.Link
	lost core.Index   // number of entries that the database has lost
	held bool         // Hold was called
	wait []core.Entry // the entries that are held
}

// Subscribe implements edge.View.
func (s *Site) Subscribe() *event.Cursor { return s.Replica.Subscribe() }

// WaitApplied implements edge.View.
func (s *Site) WaitApplied(ctx context.Context, i core.Index) error {
	if s.OnWait != nil && s.Position().Index < i {
		s.OnWait()
	}
	return s.Replica.WaitApplied(ctx, i)
}

// Position implements edge.View.
func (s *Site) Position() core.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.Replica.Position()
	p.Index += s.lost
	return p
}

// Link implements edge.View.
func (s *Site) Link() edge.Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// Verify implements access.Guard.
func (s *Site) Verify(ctx context.Context, q guard.Question) (guard.Answer, error) {
	g := s.Guard
	if g == nil {
		g = s.Home.Guard
	}
	return guard.Remote{Ask: g.Answer}.Verify(ctx, q) // encoded, as between nodes
}

func (s *Site) SetLink(l edge.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
}

// Hold keeps entries from the edge, until Release.
func (s *Site) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

// Release applies the held entries and ends Hold.
func (s *Site) Release() {
	s.Home.mu.Lock()
	defer s.Home.mu.Unlock()
	s.mu.Lock()
	entries := s.wait
	s.held, s.wait = false, nil
	s.mu.Unlock()
	if _, err := s.Replica.Apply(context.Background(), entries); err != nil {
		s.Home.T.Error(err)
	}
}

// LoseCommit makes the database one commit older than what the edge has seen.
func (s *Site) LoseCommit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = 1
}

func (s *Site) take(entries []core.Entry) ([]core.Receipt, error) {
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
func (h *Home) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
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

// order batches proposals, stamps them and makes all edges apply them, home first.
func (h *Home) order(ctx context.Context) {
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

func (h *Home) apply(batch []asked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entries := make([]core.Entry, len(batch))
	for i, a := range batch {
		h.index++
		h.at = h.at.Add(time.Microsecond)
		if now := time.Now(); now.After(h.at) {
			h.at = now
		}
		entries[i] = core.Entry{Index: h.index, At: h.at, ID: a.p.ID, Scope: a.p.Scope, Data: a.p.Data, Sealed: a.p.Sealed}
	}
	receipts, err := h.edges[0].take(entries)
	for i, a := range batch {
		got := answer{err: err}
		if err == nil {
			got.receipt = receipts[i]
		}
		a.reply <- got
	}
	entries = slices.Clone(entries) // the first edge may still hold them
	for i := range entries {
		entries[i].Sealed = nil // which stays at home
	}
	for _, e := range h.edges[1:] {
		if _, err := e.take(entries); err != nil {
			h.T.Error(err)
		}
	}
}

// NewHome makes a home with one edge, which is at home.
func NewHome(t testing.TB) (*Home, *Site) { return NewHomeWith(t, nil) }

// NewHomeWith is NewHome with another configuration of every edge.
func NewHomeWith(t testing.TB, configure func(*areas.Config)) (*Home, *Site) {
	dir := t.TempDir()
	blobs, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	h := &Home{T: t, asks: make(chan asked, 1024), Blobs: blobs, Dir: dir, configure: configure, Secrets: secrettest.New()}
	if h.Trail, err = trail.New(trail.Config{Propose: h.Propose, Leads: func() bool { return true }, Retention: core.MinAuditAge}); err != nil {
		t.Fatal(err)
	}
	first := h.NewSite(nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // until all clean-ups that still ask are done
	done := make(chan struct{})
	go func() { defer close(done); h.order(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	t.Cleanup(func() { h.checked.Do(first.checkSecrets) })
	return h, first
}

// NewSite makes an empty edge; call it before anything is proposed.
func (h *Home) NewSite(asker edge.Asker) *Site {
	t := h.T
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
	s := &Site{Replica: rep, Home: h, DB: db, link: edge.Link{Connected: true}}
	unlimited, err := rate.New(rate.Config{Off: true}) // people of tests hurry, and all come from one address
	if err != nil {
		t.Fatal(err)
	}
	store := read.New(pgtest.Connect(t, readers), catalogue.Message)
	if h.Guard == nil {
		if h.Guard, err = h.NewGuard(store, rep, db); err != nil {
			t.Fatal(err)
		}
	}
	config := areas.Config{
		Proposer: h, View: s, Read: store, Asker: asker, Guard: s, OpenServer: true, Build: "test", Limiter: unlimited,
		Files: files.Config{Blobs: h.Blobs, Spool: t.TempDir(), PublicLinks: true},
	}
	if h.configure != nil {
		h.configure(&config)
	}
	next := slog.DiscardHandler
	if config.Logger != nil {
		next = config.Logger.Handler()
	}
	config.Logger = h.Secrets.Logger(next)
	s.API, err = areas.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // until all clean-ups that still ask are done
	done := make(chan error, 2)
	go func() { done <- s.API.Run(ctx) }()
	go func() { done <- rep.Run(ctx) }()
	srv := httptest.NewServer(h.Secrets.Handler(s.API))
	s.URL = srv.URL
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
	t.Cleanup(func() { h.checked.Do(h.edges[0].checkSecrets) }) // before any edge is stopped
	return s
}

// NewGuard makes a guard that reads a replica, as each home node has one, with sealed values in a database at home.
func (h *Home) NewGuard(store *read.Store, rep *replica.Replica, db *pg.DB) (*guard.Guard, error) {
	unseal := func(ctx context.Context, seal core.Seal) ([]byte, bool, error) { return pg.Unseal(ctx, db, seal) }
	return guard.New(guard.Config{Store: store, Unseal: unseal, Hasher: password.NewHasher(0, 0), Propose: h.Propose, Applied: rep.WaitApplied, Failed: h.Trail.Failed})
}

// Client is a user at an edge.
type Client struct {
	T        testing.TB
	Site     *Site // where the user signed up
	URL      string
	Token    string
	Me       core.User
	Position string // if set, sent with each request; the position in the last answer
	Roams    bool   // whether answers update Position
}

// Place returns the full path of an API path: all but the page of public links have one prefix.
func Place(path string) string {
	if strings.HasPrefix(path, "/files/") && strings.Contains(path, "/public") {
		return path
	}
	return "/api/v4" + path
}

// Do sends a request and returns the answer, decoded into out unless that is nil. A body that
// begins like a form is sent as one.
func (c *Client) Do(method, path string, body, out any) *http.Response {
	c.T.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.T.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.URL+Place(path), in)
	if err != nil {
		c.T.Fatal(err)
	}
	if form, ok := body.(string); ok && strings.HasPrefix(form, "--") {
		boundary, _, _ := strings.Cut(form[2:], "\r\n")
		req.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if c.Roams && c.Position != "" {
		req.Header.Set("X-Nearside-Position", c.Position)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.T.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.T.Fatal(err)
	}
	if c.Roams {
		c.Position = resp.Header.Get("X-Nearside-Position")
	}
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			c.T.Fatalf("%s %s: %d %q: %v", method, path, resp.StatusCode, raw, err)
		}
	}
	return resp
}

// Must is Do for a request that must succeed with a status.
func (c *Client) Must(status int, method, path string, body, out any) *http.Response {
	c.T.Helper()
	resp := c.Do(method, path, body, nil)
	raw, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	if resp.StatusCode != status {
		c.T.Fatalf("%s %s: %d, not %d: %s", method, path, resp.StatusCode, status, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			c.T.Fatalf("%s %s: %q: %v", method, path, raw, err)
		}
	}
	return resp
}

// Problem is an error answer.
type Problem struct {
	ID        string `json:"id"`
	Message   string `json:"message"`
	Detail    string `json:"detailed_error"`
	RequestID string `json:"request_id"`
	Status    int    `json:"status_code"`
}

// Fails is Do for a request that must fail with a status and an id.
func (c *Client) Fails(status int, id, method, path string, body any) {
	c.T.Helper()
	var p Problem
	resp := c.Do(method, path, body, &p)
	if resp.StatusCode != status || p.ID != id || p.Status != status || p.Message == "" || p.RequestID == "" {
		c.T.Errorf("%s %s: %d %+v, not %d %s", method, path, resp.StatusCode, p, status, id)
	}
}

// At returns the same user at another edge.
func (c *Client) At(s *Site) *Client {
	other := *c
	other.URL = s.URL
	return &other
}

// Password is the password of all users.
const Password = "correct horse"

// SignUp makes an account and signs it in.
func (s *Site) SignUp(t testing.TB, name string) *Client {
	t.Helper()
	c := &Client{T: t, Site: s, URL: s.URL}
	c.Must(201, "POST", "/users", map[string]string{"username": name, "email": name + "@example.com", "password": Password}, &c.Me)
	c.Token = c.Must(200, "POST", "/users/login", map[string]string{"login_id": name, "password": Password}, nil).Header.Get("Token")
	return c
}

func (c *Client) NewTeam(name string) (t core.Team) {
	c.T.Helper()
	c.Must(201, "POST", "/teams", core.Team{Name: name, DisplayName: name, Type: "O", AllowOpenInvite: true}, &t)
	return t
}

func (c *Client) NewChannel(team core.TeamID, name, kind string) core.ChannelID {
	c.T.Helper()
	var ch struct{ ID core.ChannelID }
	c.Must(201, "POST", "/channels", map[string]string{"team_id": team.String(), "name": name, "display_name": name, "type": kind}, &ch)
	return ch.ID
}

func (c *Client) JoinTeam(team core.TeamID) {
	c.T.Helper()
	c.Must(201, "POST", "/teams/"+team.String()+"/members", map[string]string{"team_id": team.String(), "user_id": c.Me.ID.String()}, nil)
}

func (c *Client) Join(ch core.ChannelID) {
	c.T.Helper()
	c.Must(201, "POST", "/channels/"+ch.String()+"/members", map[string]string{"user_id": c.Me.ID.String()}, nil)
}

func (c *Client) Post(ch core.ChannelID, text string) (p core.Post) {
	c.T.Helper()
	c.Must(201, "POST", "/posts", map[string]string{"channel_id": ch.String(), "message": text}, &p)
	return p
}

func (c *Client) Reply(root core.Post, text string) (p core.Post) {
	c.T.Helper()
	c.Must(201, "POST", "/posts", map[string]string{"channel_id": root.ChannelID.String(), "root_id": root.ID.String(), "message": text}, &p)
	return p
}

// List is a list of posts as clients receive it.
type List struct {
	Order   []core.PostID
	Posts   map[core.PostID]core.Post
	Next    string `json:"next_post_id"`
	Prev    string `json:"prev_post_id"`
	HasNext *bool  `json:"has_next"`
}

// Texts returns the messages in order, newest first.
func (l List) Texts() string {
	var out []string
	for _, id := range l.Order {
		out = append(out, l.Posts[id].Message)
	}
	return strings.Join(out, " ")
}

func (c *Client) List(path string, args ...any) (l List) {
	c.T.Helper()
	c.Must(200, "GET", fmt.Sprintf(path, args...), nil, &l)
	return l
}
