package tier

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// Origin is where every blob durably is.
type Origin interface {
	cdn.Getter
	cdn.Putter
	cdn.Stater
}

const defaultMemory = 64 << 20

// Config configures a Tier.
type Config struct {
	Dir         string                // of this cache alone; required
	MaxBytes    int64                 // on the disk; required
	MaxFiles    int                   // on the disk; required
	MemoryBytes int64                 // of hot chunks; default 64 MiB, below zero none
	Origin      Origin                // required
	Local       bool                  // Put returns once the blob is safe here; Run copies it to the origin
	Metrics     prometheus.Registerer // default: nothing is registered
	Logger      *slog.Logger          // default: discard
}

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" || c.MaxBytes <= 0 || c.MaxFiles <= 0 || c.Origin == nil {
		return c, core.E(core.KindInvalid, "a tier needs a directory, bounds and an origin")
	}
	c.MaxBytes = min(c.MaxBytes, 1<<60) // sums of two stay numbers
	if c.MemoryBytes == 0 {
		c.MemoryBytes = defaultMemory
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
