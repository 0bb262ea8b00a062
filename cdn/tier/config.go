package tier

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// Origin is the durable store of every blob.
type Origin interface {
	cdn.Getter
	cdn.Putter
	cdn.Stater
}

const defaultMemory = 64 << 20

// Config configures a Tier.
type Config struct {
	Dir         string                // used by this cache only; required
	MaxBytes    int64                 // on the disk; required
	MaxFiles    int                   // on the disk; required
	MemoryBytes int64                 // of hot chunks; default 64 MiB; negative: none
	Origin      Origin                // required
	Local       bool                  // Put returns when the blob is durable here; Run copies it to the origin later
	Metrics     prometheus.Registerer // default: metrics are not registered
	Logger      *slog.Logger          // default: discard
}

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" || c.MaxBytes <= 0 || c.MaxFiles <= 0 || c.Origin == nil {
		return c, core.E(core.KindInvalid, "a tier needs a directory, bounds and an origin")
	}
	c.MaxBytes = min(c.MaxBytes, 1<<60) // so that the sum of two cannot overflow
	if c.MemoryBytes == 0 {
		c.MemoryBytes = defaultMemory
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
