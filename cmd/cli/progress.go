package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	barWidth   = 30
	redrawTerm = 100 * time.Millisecond
	redrawLine = 10 * time.Second // if the output is not a terminal
)

// progress shows how far a long command is: on a terminal a line that is redrawn, elsewhere a line from
// time to time. It is for one goroutine.
type progress struct {
	w     io.Writer
	term  bool
	last  time.Time
	drawn bool // the last line has no newline yet
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok {
		return &progress{w: w, last: time.Now()}
	}
	info, err := f.Stat()
	return &progress{w: w, term: err == nil && info.Mode()&os.ModeCharDevice != 0, last: time.Now()}
}

// say shows a line, unless one was shown just now.
func (p *progress) say(line string) {
	every := redrawLine
	if p.term {
		every = redrawTerm
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	if !p.term {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	p.drawn = true
}

// clear removes the line before other output.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// bar draws how much of all is done.
func bar(done, all int64) string {
	if all <= 0 {
		return ""
	}
	part := min(1, float64(done)/float64(all))
	full := int(part * barWidth)
	return fmt.Sprintf("[%s%s] %3.0f%% ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), part*100)
}

// size writes bytes as people read them.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 4 {
		v /= 1000
		unit++
	}
	return fmt.Sprintf("%.3g %s", v, []string{"B", "kB", "MB", "GB", "TB"}[unit])
}
