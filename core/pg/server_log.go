package pg

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// maxLogBytes bounds the server's log file; one older file of the same size is kept.
const maxLogBytes = 8 << 20

// tailBytes is how much of the log's end is kept for error messages.
const tailBytes = 2 << 10

// A boundedLog is PostgreSQL's log: a file, an older one, and the last lines.
type boundedLog struct {
	path string

	mu   sync.Mutex // guards all below
	file *os.File
	size int64
	tail []byte
}

func openLog(path string) (*boundedLog, error) {
	l := &boundedLog{path: path}
	return l, l.open()
}

func (l *boundedLog) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("server log: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("server log: %w", err)
	}
	l.file, l.size = f, st.Size()
	return nil
}

// Write never fails: PostgreSQL must not stop because its log cannot be written, as on a full disk.
func (l *boundedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if n := len(l.tail) - tailBytes; n > 0 {
		l.tail = append(l.tail[:0], l.tail[n:]...)
	}
	if l.file != nil && l.size+int64(len(p)) > maxLogBytes {
		l.rotate()
	}
	if l.file != nil {
		n, _ := l.file.Write(p)
		l.size += int64(n)
	}
	return len(p), nil
}

// rotate begins a new file and keeps the present one as the older one. mu is held.
func (l *boundedLog) rotate() {
	l.file.Close()
	l.file = nil
	if os.Rename(l.path, l.path+".1") == nil {
		_ = l.open() // without a file, only the last lines are kept
	}
}

// lastLines gives the end of the log for an error message, or nothing.
func (l *boundedLog) lastLines() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.TrimSpace(string(l.tail))
	if s == "" {
		return ""
	}
	return "; its last words: " + s
}

func (l *boundedLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
