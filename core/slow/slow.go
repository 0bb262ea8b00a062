// Package slow logs what took too long and what it waited for, without flooding the log: each cause
// is logged at most once in a while, with how often it happened since.
//
// Everything is safe for concurrent use. Nothing runs in the background. Causes are few and
// fixed; they are kept for ever.
package slow

import (
	"log/slog"
	"sync"
	"time"
)

const defaultEvery = 10 * time.Second

// Config configures a Log.
type Config struct {
	What   string        // what is slow, for the log line; required
	Limit  time.Duration // what takes longer is slow; required
	Every  time.Duration // between two lines of one cause; default 10 s
	Logger *slog.Logger  // required
}

// Log logs what is slow.
type Log struct {
	cfg Config

	mu     sync.Mutex
	causes map[string]*cause // guarded by mu
}

type cause struct {
	told   time.Time
	silent int // how often it was not logged since
}

// New makes a Log.
func New(cfg Config) *Log {
	if cfg.Every <= 0 {
		cfg.Every = defaultEvery
	}
	return &Log{cfg: cfg, causes: map[string]*cause{}}
}

// Note logs a cause if it took too long. args are added to the log line.
func (l *Log) Note(why string, took time.Duration, args ...any) {
	if took < l.cfg.Limit {
		return
	}
	silent, tell := l.due(why, time.Now())
	if !tell {
		return
	}
	args = append([]any{"waited_for", why, "took", took.Round(time.Millisecond)}, args...)
	if silent > 0 {
		args = append(args, "not_told", silent)
	}
	l.cfg.Logger.Warn(l.cfg.What+" is slow", args...)
}

func (l *Log) due(why string, now time.Time) (silent int, tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.causes[why]
	if c == nil {
		c = &cause{}
		l.causes[why] = c
	}
	if !c.told.IsZero() && now.Sub(c.told) < l.cfg.Every {
		c.silent++
		return 0, false
	}
	silent, c.told, c.silent = c.silent, now, 0
	return silent, true
}
