package slow

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each cause is logged once in a while, with how often it was not logged; what is fast never is.
func TestNote_OncePerCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := New(Config{What: "a batch", Limit: time.Second, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		l.Note("the database", time.Millisecond)
		for range 5 {
			l.Note("the database", 2*time.Second, "entries", 3)
		}
		l.Note("its turn", time.Second)
		if got := strings.Count(out.String(), "\n"); got != 2 {
			t.Errorf("%d lines:\n%s", got, &out)
		}
		time.Sleep(defaultEvery)
		l.Note("the database", 2*time.Second)
		if lines := strings.Split(out.String(), "\n"); !strings.Contains(lines[2], "not_told=4") || !strings.Contains(lines[2], `waited_for="the database"`) {
			t.Errorf("the third line: %s", lines[2])
		}
	})
}
