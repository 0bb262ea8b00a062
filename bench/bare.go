package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/core/pg"
)

// bare is the least that can be done on this machine between a post and its event at every socket, with the
// same promises: the post goes to a file with fsync, then its rows go to PostgreSQL in one transaction and
// one round trip, then each socket gets a frame by one write. It checks and decides nothing. It shows how
// much of a time is the machine's.
type bare struct {
	log *os.File
	db  *pg.DB

	mu      sync.Mutex // guards everything below, and makes posts follow each other
	sockets []net.Conn
	posts   int
	file    []time.Duration
	rows    []time.Duration
}

// beBare serves it, in the other process; dir is its folder.
func beBare(ctx context.Context, dir string) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server, err := pg.NewServer(pg.ServerConfig{Dir: dir})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() { cancel(); err = errors.Join(err, <-ended) }()
	b := &bare{}
	if err := b.open(ctx, server, dir); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v4/posts", b.post)
	mux.HandleFunc("GET /api/v4/websocket", b.upgrade)
	mux.HandleFunc("GET /steps", b.steps)
	return bePlain(ctx, mux)
}

func (b *bare) open(ctx context.Context, server *pg.Server, dir string) error {
	cfg := server.Config()
	cfg.MaxConns = 1 // so that the setting below is that of every statement
	err := eventually.Poll(ctx, time.Minute, func() (err error) {
		b.db, err = pg.Open(ctx, cfg)
		return err
	})
	if err != nil {
		return err
	}
	if err := pg.Migrate(ctx, b.db, pg.Schema); err != nil {
		return err
	}
	if _, err := b.db.Exec(ctx, "SET synchronous_commit = off"); err != nil {
		return err
	}
	b.log, err = os.Create(filepath.Join(dir, "log"))
	return err
}

// bareSQL writes the rows of a post and of its entry, and moves the position.
const bareSQL = `WITH p AS (INSERT INTO posts (id, user_id, channel_id, root_id, original_id, create_at, update_at, edit_at, delete_at,
		last_reply_at, reply_count, is_pinned, has_reactions, type, message, hashtags)
		VALUES ($1, $1, $1, $2, $2, $3, $3, 0, 0, 0, 0, false, false, '', $4, '')),
	e AS (INSERT INTO entries (index, at, proposal, digest, accepted, outcome) VALUES ($3, $3, $1, $1, true, $5))
	UPDATE applied SET index = $3`

func (b *bare) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4096))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posts++
	began := time.Now()
	if err == nil {
		_, err = b.log.Write(body)
	}
	if err == nil {
		err = b.log.Sync()
	}
	if err == nil {
		b.file = append(b.file, time.Since(began))
		began = time.Now()
		var id [16]byte
		binary.BigEndian.PutUint64(id[8:], uint64(b.posts))
		_, err = b.db.Exec(r.Context(), bareSQL, id, [16]byte{}, b.posts, string(body), body)
		b.rows = append(b.rows, time.Since(began))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	frame := textFrame(fmt.Appendf(nil, `{"event":"posted","data":{"post":%s},"padding":"%0500d"}`, body, 0))
	for _, s := range b.sockets {
		_, _ = s.Write(frame) // who does not get it is counted as missing
	}
	w.WriteHeader(http.StatusCreated)
}

func (b *bare) upgrade(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n%s", textFrame([]byte(`{"event":"hello"}`))) // as above
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sockets = append(b.sockets, c)
}

// steps says how long the file and the rows took.
func (b *bare) steps(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.file)
	slices.Sort(b.rows)
	fmt.Fprintf(w, "fsync p50 %s, transaction p50 %s", milliseconds(load.Quantile(b.file, .5)), milliseconds(load.Quantile(b.rows, .5)))
}

// textFrame gives a WebSocket frame of a server (RFC 6455, section 5.2).
func textFrame(text []byte) []byte {
	if len(text) < 126 {
		return append([]byte{0x81, byte(len(text))}, text...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(len(text))), text...)
}
