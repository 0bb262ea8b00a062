package pg

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

// The form of a snapshot: a line, then frames of a type byte, a length and a payload. First
// the header, then for each table its rows as COPY gives them and their number, then the
// SHA-256 of everything before. It is not compressed, because links compress.
const (
	snapshotMagic  = "nearside snapshot 1\n"
	frameHeader    = 'H'
	frameRows      = 'D'
	frameTableEnd  = 'E'
	frameEnd       = 'Z'
	maxFrameBytes  = 1 << 20
	copyChunkBytes = 256 << 10
)

// SnapshotHeader says what a snapshot holds.
type SnapshotHeader struct {
	Position   core.Position `json:"position"`
	At         int64         `json:"at"` // of the last entry, Unix nanoseconds
	LogVersion int64         `json:"log_version"`
	Tables     []TableShape  `json:"tables"`
}

// TableShape is a table with its columns in order.
type TableShape struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// quoted gives the columns as SQL.
func (t TableShape) quoted() string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = quoteName(c)
	}
	return strings.Join(names, ", ")
}

// LastAt is the time of the last entry; zero when there is none.
func (h *SnapshotHeader) LastAt() time.Time {
	if h.At == 0 {
		return time.Time{}
	}
	return time.Unix(0, h.At)
}

// shapes gives every table of a schema, ordered by name. It reads the catalogue and not a list of ours:
// a table that was forgotten in a list would be missing from every snapshot.
func shapes(ctx context.Context, q Queryer, schema string) ([]TableShape, error) {
	return Query(ctx, q, `SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE n.nspname = $1 AND c.relkind = 'r' GROUP BY 1 ORDER BY c.relname::text COLLATE "C"`,
		func(r Row) (t TableShape, err error) { return t, r.Scan(&t.Name, &t.Columns) }, schema)
}

// Export writes all replicated tables, as they are at one moment, to w. Before it writes it calls begun
// with the header. The sealed values are left out unless sealed is true; no snapshot with them may leave home.
func Export(ctx context.Context, db *DB, w io.Writer, sealed bool, begun func(SnapshotHeader)) error {
	return db.ReadTx(ctx, func(ctx context.Context, tx Tx) error {
		h, err := exportHeader(ctx, tx, db.schema)
		if err != nil {
			return err
		}
		if !sealed {
			h.Tables = slices.DeleteFunc(h.Tables, isSealedTable)
		}
		begun(h)
		out := newFrameWriter(w)
		if err := out.header(h); err != nil {
			return err
		}
		for _, t := range h.Tables {
			if err := exportTable(ctx, tx, db.schema, t, out); err != nil {
				return fmt.Errorf("export %s: %w", t.Name, err)
			}
		}
		return out.end()
	})
}

// exportHeader locks the tables before it reads them, so that a restore waits with replacing them until
// the export is done.
func exportHeader(ctx context.Context, tx Tx, schema string) (h SnapshotHeader, err error) {
	if _, err := tx.Exec(ctx, "LOCK TABLE applied IN ACCESS SHARE MODE"); err != nil {
		return h, fmt.Errorf("lock tables: %w", err)
	}
	if h.Tables, err = shapes(ctx, tx, schema); err != nil {
		return h, fmt.Errorf("list tables: %w", err)
	}
	for _, t := range h.Tables {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+quoteName(t.Name)+" IN ACCESS SHARE MODE"); err != nil {
			return h, fmt.Errorf("lock tables: %w", err)
		}
	}
	if h.LogVersion, err = LogVersion(ctx, tx, schema); err != nil {
		return h, fmt.Errorf("read log version: %w", err)
	}
	var epoch, index int64
	err = tx.QueryRow(ctx, "SELECT epoch, index, digest, at FROM applied").Scan(&epoch, &index, (*[16]byte)(&h.Position.Digest), &h.At)
	h.Position.Epoch, h.Position.Index = core.Epoch(epoch), core.Index(index)
	return h, err
}

func exportTable(ctx context.Context, tx Tx, schema string, t TableShape, out *frameWriter) error {
	rows := bufio.NewWriterSize(out, copyChunkBytes)
	sql := fmt.Sprintf("COPY %s.%s (%s) TO STDOUT (FORMAT binary)", quoteName(schema), quoteName(t.Name), t.quoted())
	tag, err := tx.Conn().PgConn().CopyTo(ctx, rows, sql)
	if err != nil {
		return err
	}
	if err := rows.Flush(); err != nil {
		return err
	}
	return out.frame(frameTableEnd, bigint(uint64(tag.RowsAffected())))
}

// frameWriter writes frames and hashes them. As an io.Writer it takes rows.
type frameWriter struct {
	w   io.Writer
	sum hash.Hash
}

func newFrameWriter(w io.Writer) *frameWriter {
	sum := sha256.New()
	return &frameWriter{w: io.MultiWriter(w, sum), sum: sum}
}

func (f *frameWriter) header(h SnapshotHeader) error {
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f.w, snapshotMagic); err != nil {
		return err
	}
	return f.frame(frameHeader, raw)
}

func (f *frameWriter) frame(kind byte, payload []byte) error {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	if _, err := f.w.Write(head); err != nil {
		return err
	}
	_, err := f.w.Write(payload)
	return err
}

// Write writes rows.
func (f *frameWriter) Write(p []byte) (int, error) {
	for chunk := range slices.Chunk(p, maxFrameBytes) {
		if err := f.frame(frameRows, chunk); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (f *frameWriter) end() error { return f.frame(frameEnd, f.sum.Sum(nil)) }

// Import builds the replicated tables in the schema next from a snapshot made at a position.
// It does not touch the schema in use, and removes next after an error. Switch puts next into use.
func Import(ctx context.Context, db *DB, next string, at core.Position, r io.Reader) (SnapshotHeader, error) {
	in := newFrameReader(r)
	h, err := in.header()
	if err != nil {
		return h, fmt.Errorf("read snapshot: %w", err)
	}
	if h.Position != at {
		return h, core.E(core.KindInvalid, "The snapshot holds %v, not %v.", h.Position, at)
	}
	if err := importAll(ctx, db, next, h, in); err != nil {
		return h, errors.Join(fmt.Errorf("restore snapshot: %w", err), dropNext(ctx, db, next))
	}
	return h, nil
}

func dropNext(ctx context.Context, db *DB, next string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return db.WriteTx(ctx, func(ctx context.Context, tx Tx) error { return DropSchema(ctx, tx, next) })
}

func importAll(ctx context.Context, db *DB, next string, h SnapshotHeader, in *frameReader) error {
	if err := understood("snapshot", h.LogVersion); err != nil {
		return err
	}
	if err := dropNext(ctx, db, next); err != nil {
		return err
	}
	if err := Migrate(ctx, db, next); err != nil {
		return err
	}
	tables, err := shapes(ctx, db, next)
	if err != nil {
		return err
	}
	indexes, err := dropIndexes(ctx, db, next)
	if err != nil {
		return fmt.Errorf("drop indexes: %w", err)
	}
	for _, t := range h.Tables {
		if err := importTable(ctx, db, next, t, known(tables, t), in); err != nil {
			return fmt.Errorf("import %s: %w", t.Name, err)
		}
	}
	if err := in.end(); err != nil {
		return err
	}
	for _, sql := range append(indexes, analyze(next, tables)...) { // after the rows: building an index at the end is faster than adding row by row
		if _, err := db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("build indexes: %w", err)
		}
	}
	return checkPosition(ctx, db, next, h)
}

// known says for each column of a snapshot's table whether ours has it: a newer program may have made
// the snapshot. A column of ours that the snapshot lacks gets its default.
func known(ours []TableShape, t TableShape) []bool {
	keep := make([]bool, len(t.Columns))
	if i := slices.IndexFunc(ours, func(o TableShape) bool { return o.Name == t.Name }); i >= 0 {
		for n, c := range t.Columns {
			keep[n] = slices.Contains(ours[i].Columns, c)
		}
	}
	return keep
}

func analyze(schema string, tables []TableShape) (out []string) {
	for _, t := range tables {
		out = append(out, "ANALYZE "+quoteName(schema)+"."+quoteName(t.Name))
	}
	return out
}

// checkPosition compares the position in the header with the one in the imported tables.
func checkPosition(ctx context.Context, db *DB, next string, h SnapshotHeader) error {
	var epoch, index int64
	var digest [16]byte
	err := db.QueryRow(ctx, "SELECT epoch, index, digest FROM "+quoteName(next)+".applied").Scan(&epoch, &index, &digest)
	if err != nil {
		return err
	}
	if got := (core.Position{Epoch: core.Epoch(epoch), Index: core.Index(index), Digest: digest}); got != h.Position {
		return core.E(core.KindInvalid, "The snapshot says %v and holds %v.", h.Position, got)
	}
	return nil
}

// dropIndexes drops the indexes that are not constraints and gives the statements that create them.
func dropIndexes(ctx context.Context, db *DB, schema string) ([]string, error) {
	type index struct{ name, sql string }
	list, err := Query(ctx, db, `SELECT i.relname::text, pg_get_indexdef(i.oid) FROM pg_index x
		JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
		WHERE n.nspname = $1 AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid)
		ORDER BY i.relname::text COLLATE "C"`,
		func(r Row) (i index, err error) { return i, r.Scan(&i.name, &i.sql) }, schema)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for n, i := range list {
		if _, err := db.Exec(ctx, "DROP INDEX "+quoteName(schema)+"."+quoteName(i.name)); err != nil {
			return nil, err
		}
		out[n] = i.sql
	}
	return out, nil
}

// importTable empties and fills a table in one transaction: then PostgreSQL need not write the rows to
// its log. A table that this program does not know is skipped.
func importTable(ctx context.Context, db *DB, schema string, t TableShape, keep []bool, in *frameReader) error {
	rows := tableReader{in: in}
	if !slices.Contains(keep, true) {
		_, err := io.Copy(io.Discard, &rows)
		return err
	}
	from := io.Reader(&rows)
	if slices.Contains(keep, false) {
		from = newColumnFilter(from, keep)
		t.Columns = filtered(t.Columns, keep)
	}
	return db.WriteTx(ctx, func(ctx context.Context, tx Tx) error {
		name := quoteName(schema) + "." + quoteName(t.Name)
		if _, err := tx.Exec(ctx, "TRUNCATE "+name); err != nil {
			return err
		}
		tag, err := tx.Conn().PgConn().CopyFrom(ctx, from, fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", name, t.quoted()))
		switch {
		case rows.err != nil && !errors.Is(rows.err, io.EOF):
			return rows.err
		case err != nil:
			return damaged(err, "its rows cannot be read")
		case !rows.ended || tag.RowsAffected() != rows.count:
			return damaged(nil, "%d rows of %d", tag.RowsAffected(), rows.count)
		}
		return nil
	})
}

func damaged(cause error, format string, args ...any) error {
	return core.E(core.KindInvalid, "The snapshot is damaged: "+format+".", args...).WithCause(cause)
}

// frameReader reads what frameWriter has written.
type frameReader struct {
	r   *bufio.Reader
	sum hash.Hash
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, copyChunkBytes), sum: sha256.New()}
}

func (f *frameReader) header() (h SnapshotHeader, err error) {
	magic := make([]byte, len(snapshotMagic))
	if err := f.full(magic); err != nil {
		return h, err
	}
	if string(magic) != snapshotMagic {
		return h, core.E(core.KindInvalid, "That is not a snapshot of this format.")
	}
	kind, raw, err := f.frame()
	if err != nil {
		return h, err
	}
	if kind != frameHeader || json.Unmarshal(raw, &h) != nil {
		return h, damaged(nil, "it has no header")
	}
	return h, nil
}

// frame reads one frame; the payload is only valid until the next.
func (f *frameReader) frame() (kind byte, payload []byte, err error) {
	var head [5]byte
	if err := f.full(head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrameBytes {
		return 0, nil, damaged(nil, "a frame of %d bytes", n)
	}
	payload = make([]byte, n)
	return head[0], payload, f.full(payload)
}

func (f *frameReader) full(p []byte) error {
	if _, err := io.ReadFull(f.r, p); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return damaged(nil, "it ends early")
		}
		return fmt.Errorf("read snapshot: %w", err)
	}
	f.sum.Write(p)
	return nil
}

func (f *frameReader) end() error {
	want := f.sum.Sum(nil)
	kind, got, err := f.frame()
	if err != nil {
		return err
	}
	if kind != frameEnd || string(got) != string(want) {
		return damaged(nil, "its checksum is wrong")
	}
	return nil
}

// tableReader reads the rows of one table, up to its end frame.
type tableReader struct {
	in    *frameReader
	rest  []byte
	count int64
	ended bool
	err   error
}

func (t *tableReader) Read(p []byte) (int, error) {
	for len(t.rest) == 0 && t.err == nil {
		t.err = t.next()
	}
	if len(t.rest) == 0 {
		return 0, t.err
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (t *tableReader) next() error {
	kind, raw, err := t.in.frame()
	switch {
	case err != nil:
		return err
	case kind == frameRows:
		t.rest = raw
		return nil
	case kind == frameTableEnd && len(raw) == 8:
		t.count, t.ended = int64(binary.BigEndian.Uint64(raw)), true
		return io.EOF
	}
	return damaged(nil, "a frame of type %q among rows", kind)
}
