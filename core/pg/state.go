package pg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/schema"
)

// DefaultCacheBytes is how much memory the rows cached for applying may take, about.
const DefaultCacheBytes = 64 << 20

// maxWrittenBytes is about how much a batch may write before it should be committed.
const maxWrittenBytes = 16 << 20

// maxRuns is how often a batch is run to find out what it reads. After that, each row that is still
// missing is read on its own.
const maxRuns = 6

// recent has proposals that were accepted lately, each in a place by its last bytes, which are random. So
// one that is proposed again soon does not first make a batch fail.
type recent [8192]core.ProposalID

func (r *recent) place(id core.ProposalID) *core.ProposalID {
	return &r[int(binary.BigEndian.Uint16(id[14:]))%len(r)]
}

func (r *recent) note(id core.ProposalID) { *r.place(id) = id }

func (r *recent) has(e core.Entry) bool { return *r.place(e.ID) == e.ID }

// Store is the replicated tables as apply sees them. It collects the writes of a batch, shows
// them to the reads of the same batch, and writes them in one transaction with the position.
// Committed rows are cached; nobody else writes these tables, so a cached row stays true.
//
// What a batch cannot answer from memory is noted, read with everything else that the batch has noted,
// and the batch is run again: see Run. A batch that needs nothing is a single round trip.
//
// After a failed read the decisions of the batch are wrong: Err gives the error, and the batch must be
// dropped. A Store belongs to one goroutine at a time.
type Store struct {
	w      writer
	cache  *cache
	tables []*rows // those of apply.Shapes, by their ids
	inUse  []*rows

	at     time.Time // of the last committed entry; zero: not known
	recent recent
	repeat bool // the last batch had a proposal that was accepted before

	ctx     context.Context // of the batch
	err     error           // the first failed read of the batch
	missed  bool            // something was noted in this run
	alone   bool            // a row that is not known is read immediately, on its own
	written int             // bytes, about
	undo    []undo          // of the entry
	from    core.Position   // that the batch follows on
	unasked []core.Entry    // the batch, until it is known which of its proposals were accepted before
	horizon int64           // of the entry being applied
	sealed  [][]byte        // values of the accepted entries
	firsts  map[core.ProposalID]Record
	stored  map[core.ProposalID]Record // firsts, as they were before the batch
	records []*Record
}

// undo reverts one write.
type undo struct {
	in  *rows
	key string
	was *write // nil: the batch had not written it
}

var _ apply.Store = (*Store)(nil)

// NewStore gives a store over a pool, from which it takes one connection for itself when the
// first batch begins. cacheBytes bounds the cache; zero means DefaultCacheBytes.
func NewStore(db *DB, cacheBytes int) *Store {
	if cacheBytes <= 0 {
		cacheBytes = DefaultCacheBytes
	}
	s := &Store{w: writer{db: db}, cache: newCache(cacheBytes)}
	for _, shape := range apply.Shapes {
		for len(s.tables) <= shape.ID {
			s.tables = append(s.tables, nil)
		}
		s.tables[shape.ID] = newRows(shape)
		s.inUse = append(s.inUse, s.tables[shape.ID])
	}
	return s
}

// Get implements apply.Store.
func (s *Store) Get(t *schema.Shape, key []byte) schema.Row {
	r := s.tables[t.ID]
	row, known := r.get(s.cache, key)
	if known {
		return row
	}
	if s.missed = true; !s.alone {
		r.need[string(key)] = struct{}{}
		return nil
	}
	s.fetchNow(func() { r.need[string(key)] = struct{}{} })
	row, _ = r.get(s.cache, key)
	return row
}

// List implements apply.Store.
func (s *Store) List(x *schema.IndexShape, value []byte) []schema.Row {
	r := s.tables[x.Of.ID]
	for {
		out, known := s.listed(r, x, value)
		if known {
			if s.alone && bounded(x.Of, 1) {
				delete(r.lists[x], string(value)) // the list is large and not needed again, because this is the last run
			}
			return out
		}
		if s.missed = true; !s.alone || s.err != nil {
			r.want(x, value)
			return nil
		}
		s.fetchNow(func() { r.want(x, value) })
	}
}

func (s *Store) listed(r *rows, x *schema.IndexShape, value []byte) ([]schema.Row, bool) {
	if !x.Unique {
		return r.list(x, value)
	}
	row, known := r.find(s.cache, x, value)
	if row == nil {
		return nil, known
	}
	return []schema.Row{row}, known
}

// Put implements apply.Store.
func (s *Store) Put(t *schema.Shape, key []byte, row schema.Row) {
	s.write(s.tables[t.ID], key, &write{row: row, size: t.Size(row)})
}

// Insert implements apply.Store.
func (s *Store) Insert(t *schema.Shape, key []byte, row schema.Row) {
	s.write(s.tables[t.ID], key, &write{row: row, size: t.Size(row), fresh: true})
}

// Delete implements apply.Store.
func (s *Store) Delete(t *schema.Shape, key []byte) { s.write(s.tables[t.ID], key, &write{}) }

func (s *Store) write(r *rows, key []byte, w *write) {
	k := string(key)
	s.written += w.size
	was := r.dirty[k]
	if was == nil {
		r.order = append(r.order, k)
	} else {
		w.fresh = w.fresh || was.fresh
	}
	r.dirty[k] = w
	s.undo = append(s.undo, undo{r, k, was})
}

// Mark implements apply.Store.
func (s *Store) Mark() { s.undo = s.undo[:0] }

// Revert implements apply.Store.
func (s *Store) Revert() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		if u := s.undo[i]; u.was == nil {
			delete(u.in.dirty, u.key)
			u.in.order = u.in.order[:len(u.in.order)-1] // it is the last: what was written later is undone
		} else {
			u.in.dirty[u.key] = u.was
		}
	}
	s.undo = s.undo[:0]
}

// Err gives the error of the first failed read of the batch.
func (s *Store) Err() error { return s.err }

// Full reports whether the batch has written so much that it should be committed.
func (s *Store) Full() bool { return s.written > maxWrittenBytes }

// CachedBytes gives about how much memory the cached rows take.
func (s *Store) CachedBytes() int { return s.cache.used }

// RoundTrips gives the number of round trips to the database so far.
func (s *Store) RoundTrips() int { return s.w.trips }

// fetchNow calls note and reads what it has noted.
func (s *Store) fetchNow(note func()) {
	if s.err != nil {
		return
	}
	note()
	var p pipe
	s.fetch(&p)
	s.err = s.w.run(s.ctx, &p)
}

func (s *Store) fetch(p *pipe) {
	for _, r := range s.inUse {
		r.fetch(p, s.cache)
	}
}

// errMoved means that something else has written this database since the last batch.
var errMoved = errors.New("the applied position in the database is not where this replica left it")

// ErrRepeated means that nothing was written, because the batch may have a proposal that was accepted in an
// earlier batch: run it again. Run then reads which proposals these are.
var ErrRepeated = errors.New("the batch may repeat a proposal")

// Position reads how far the database is, and the time of its last entry.
func (s *Store) Position(ctx context.Context) (pos core.Position, at time.Time, err error) {
	var p pipe
	p.add(positionSQL, nil, func(res *pgResult) (err error) {
		pos, at, err = readPosition(res)
		return err
	})
	err = s.w.run(ctx, &p)
	s.at = at
	return pos, at, err
}

// Run decides a batch, which must follow on position at. It calls decide, which applies the batch's
// entries to the store, and calls it again on the unchanged store until decide has read only what is
// known. Only the last call counts. Every Run without an error must be ended by Commit or Drop.
//
// There is no transaction yet. Nobody else writes these tables, so what was read stays true, and
// Commit writes nothing unless the database is still at the position.
func (s *Store) Run(ctx context.Context, at core.Position, batch []core.Entry, decide func() error) error {
	s.ctx, s.err, s.alone, s.from, s.unasked = ctx, nil, false, at, batch
	s.stored = map[core.ProposalID]Record{}
	var err error
	if s.repeat || slices.ContainsFunc(batch, s.recent.has) {
		err = s.read(ctx)
	}
	for run := 0; err == nil; run++ {
		s.rewind()
		s.alone = run == maxRuns
		if err = decide(); err != nil || s.alone || !s.missed {
			break
		}
		err = s.read(ctx)
	}
	if err == nil {
		err = s.err
	}
	if err != nil {
		s.Drop()
	}
	return err
}

// read reads what was noted, and once for each batch which of its proposals were accepted before.
func (s *Store) read(ctx context.Context) error {
	var p pipe
	if len(s.unasked) > 0 {
		s.wantFirsts(&p, s.unasked)
		s.unasked = nil
	}
	s.fetch(&p)
	return s.w.run(ctx, &p)
}

// rewind reverts everything that the batch has written.
func (s *Store) rewind() {
	for _, r := range s.inUse {
		r.rewind()
	}
	s.undo, s.records, s.sealed, s.missed, s.written = s.undo[:0], s.records[:0], s.sealed[:0], false, 0
	s.firsts = make(map[core.ProposalID]Record, len(s.stored))
	for id, r := range s.stored {
		s.firsts[id] = r
	}
}

func (s *Store) wantFirsts(p *pipe, batch []core.Entry) {
	p.add(firstsSQL, [][]byte{proposals(batch)}, func(res *pgResult) error {
		for _, raw := range res.Rows {
			r, err := readRecord(raw)
			if err != nil {
				return err
			}
			s.stored[r.Proposal] = r
			s.recent.note(r.Proposal)
		}
		return nil
	})
}

func proposals(batch []core.Entry) []byte {
	return array(oidUUID, len(batch), func(b []byte, i int) ([]byte, bool) { return append(b, batch[i].ID[:]...), true })
}

// Enter begins an entry. When its proposal has been accepted before, it gives that record and
// true: the entry must then change nothing.
func (s *Store) Enter(e core.Entry) (Record, bool) {
	s.horizon = core.DedupeHorizon(e.At).UnixMilli()
	first, ok := s.firsts[e.ID]
	return first, ok && first.At >= s.horizon
}

// Leave ends an entry with its record. The record of a repeated proposal has no outcome.
func (s *Store) Leave(r Record) {
	s.records = append(s.records, &r)
	if r.Accepted {
		s.firsts[r.Proposal] = r
	}
}

// Seal keeps the sealed values of the entry, which has been accepted.
func (s *Store) Seal(values [][]byte) { s.sealed = append(s.sealed, values...) }

// Commit writes the batch and its position, in one round trip, which is a transaction. After ErrRepeated
// nothing was written. After another error the batch may have been written or not: Position tells.
func (s *Store) Commit(ctx context.Context, pos core.Position, at time.Time) error {
	if s.err != nil {
		err := s.err
		s.Drop()
		return fmt.Errorf("read state: %w", err)
	}
	var p pipe
	// First of all, because it must not find the batch's own records.
	p.add(advanceSQL, append(append(positionParams(pos, at), positionParams(s.from, time.Time{})[:3]...), proposals(s.unasked)), nil)
	for _, r := range s.inUse {
		r.flush(&p)
	}
	forget := core.DedupeHorizon(at).UnixMilli()
	if forget > core.DedupeHorizon(s.at).UnixMilli() {
		p.add(purgeSQL, [][]byte{bigint(uint64(forget))}, nil)
	}
	if len(s.sealed) > 0 {
		p.add(sealSQL, sealParams(s.sealed, at), nil)
	}
	if keep := s.kept(forget); len(keep) > 0 {
		p.add(recordStatements.insert, rowArrays(recordShape, keep), nil)
	}
	err := s.w.run(ctx, &p)
	if s.repeat = isGuard(err) && len(s.unasked) > 0; s.repeat {
		return ErrRepeated
	}
	if isGuard(err) {
		err = errMoved
	}
	if err != nil {
		s.Drop()
		return fmt.Errorf("write batch from %v to %v: %w", s.from, pos, err)
	}
	for _, r := range s.inUse {
		r.committed(s.cache)
	}
	for _, r := range s.records {
		if r.Accepted {
			s.recent.note(r.Proposal)
		}
	}
	s.at, s.ctx, s.unasked = at, nil, nil
	return nil
}

// kept gives the batch's records, without those that are older than the horizon already, as can happen
// after a jump of the log's time.
func (s *Store) kept(forget int64) []schema.Row {
	var out []schema.Row
	for _, r := range s.records {
		if r.At >= forget {
			out = append(out, schema.Row(r))
		}
	}
	return out
}

// Drop ends a batch without writing anything and forgets everything cached.
func (s *Store) Drop() {
	s.w.close()
	s.cache.clear()
	for _, r := range s.inUse {
		r.clear()
	}
	s.undo, s.records, s.sealed, s.firsts, s.stored, s.unasked, s.ctx = nil, nil, nil, nil, nil, nil, nil
	s.at = time.Time{}
}
