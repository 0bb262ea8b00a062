package trail

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

const (
	linesEvery  = time.Second
	linesAtOnce = 500
	keepFiles   = 9        // besides the one that is written to
	lastBytes   = 64 << 10 // longer than any line
)

// LinesConfig configures Lines. Every field is required but MaxBytes and Logger.
type LinesConfig struct {
	Path     string                                                                   // the file
	Place    string                                                                   // file that remembers the number of the last audit that was written
	MaxBytes int64                                                                    // after which the file is renamed to .1, an older .1 to .2, and so on to .9; default 64 MiB
	After    func(ctx context.Context, number int64, limit int) ([]core.Audit, error) // the audits after one, in their order
	Last     func(ctx context.Context) (int64, error)                                 // the number of the last audit that there is
	Changed  func() core.Position                                                     // of the replica: while it stays, there is nothing new
	Logger   *slog.Logger                                                             // default: discard
}

// Lines writes the audit trail into a file as the replica has it, one line of JSON for each audit. After a restart it goes on
// after the last line that is whole. The file may be renamed or removed at any time: a new one is begun.
type Lines struct {
	cfg  LinesConfig
	file *os.File
	size int64
	last int64 // number of the last audit that was written
}

// NewLines opens the file. Close Lines by ending Run.
func NewLines(cfg LinesConfig) (*Lines, error) {
	if cfg.Path == "" || cfg.Place == "" || cfg.After == nil || cfg.Last == nil || cfg.Changed == nil {
		return nil, errors.New("trail: Path, Place, After, Last and Changed are required")
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Lines{cfg: cfg}
	raw, err := os.ReadFile(cfg.Place)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("audit lines: %w", err)
	}
	l.last, _ = strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("audit lines: %w", err)
	}
	return l, nil
}

// open opens the file, cuts off a last line that is not whole, and learns from the last whole one what was written.
func (l *Lines) open() error {
	f, err := os.OpenFile(l.cfg.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	size, number, err := lastLine(f)
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size, l.last = f, size, max(l.last, number)
	return nil
}

// lastLine gives where the last whole line of a file ends, and the number of its audit.
func lastLine(f *os.File) (end, number int64, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	from := max(0, size-lastBytes)
	tail := make([]byte, size-from)
	if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	if whole == 0 && from > 0 {
		return 0, 0, fmt.Errorf("%s has other lines than those of an audit trail", f.Name())
	}
	lines := bytes.Split(bytes.TrimSuffix(tail[:whole], []byte("\n")), []byte("\n"))
	var a core.Audit
	if last := lines[len(lines)-1]; len(last) > 0 {
		if err := json.Unmarshal(last, &a); err != nil || a.Number == 0 {
			return 0, 0, fmt.Errorf("%s has other lines than those of an audit trail", f.Name())
		}
	}
	return from + int64(whole), a.Number, nil
}

// Run writes until ctx ends.
func (l *Lines) Run(ctx context.Context) error {
	defer func() { _ = l.file.Close() }()
	tick := time.NewTicker(linesEvery)
	defer tick.Stop()
	var at core.Position
	for failed := false; ; {
		if now := l.cfg.Changed(); now != at {
			err := l.Write(ctx)
			switch {
			case err == nil:
				at = now
			case !failed && ctx.Err() == nil: // said once, until it can be written again
				l.cfg.Logger.Warn("the audit trail's file cannot be written", "path", l.cfg.Path, "err", err)
			}
			failed = err != nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Write writes what is in the trail and not in the file.
func (l *Lines) Write(ctx context.Context) error {
	there, err := l.cfg.Last(ctx)
	if err != nil {
		return err
	}
	if there < l.last { // the history was restored, and is shorter than what was written
		l.cfg.Logger.Warn("the audit trail is shorter than its file; its next lines follow", "file", l.last, "trail", there)
		l.last = there
	}
	for l.last < there {
		list, err := l.cfg.After(ctx, l.last, linesAtOnce)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := l.write(list); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lines) write(list []core.Audit) error {
	if err := l.rotate(); err != nil {
		return err
	}
	w := bufio.NewWriter(l.file)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, a := range list {
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Flush(), l.file.Sync()); err != nil {
		return errors.Join(err, l.back())
	}
	l.last = list[len(list)-1].Number
	size, err := l.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	l.size = size
	place := l.cfg.Place + ".new"
	if err := os.WriteFile(place, []byte(strconv.FormatInt(l.last, 10)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(place, l.cfg.Place)
}

// back takes out again what was written of lines that are written once more.
func (l *Lines) back() error {
	err := l.file.Truncate(l.size)
	_, seek := l.file.Seek(l.size, io.SeekStart)
	return errors.Join(err, seek)
}

// rotate begins a new file if the old one is long, or is not there any more under its name.
func (l *Lines) rotate() error {
	mine, err := l.file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(l.cfg.Path)
	if err == nil && os.SameFile(mine, there) {
		if l.size < l.cfg.MaxBytes {
			return nil
		}
		for n := keepFiles; n > 0; n-- {
			from := l.cfg.Path
			if n > 1 {
				from += "." + strconv.Itoa(n-1)
			}
			if err := os.Rename(from, l.cfg.Path+"."+strconv.Itoa(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	old := l.file
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}
