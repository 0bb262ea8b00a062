package rate

import (
	"fmt"
	"maps"
	"slices"
)

// Class is a kind of operation that has buckets of its own.
type Class uint8

// The classes.
const (
	Read Class = iota
	Write
	Post    // what everybody in a channel receives
	Upload  // bodies that are files
	Picture // bodies that are pictures and are always decoded
	Search
	Login
	SignUp
	Socket // upgrades to a WebSocket
	Bytes  // of answers; spent when an answer is made, so it may be overdrawn once
	classes
)

var names = [classes]string{"read", "write", "post", "upload", "picture", "search", "login", "sign_up", "socket", "bytes"}

// String gives the class's name in the configuration and in metrics.
func (c Class) String() string { return names[c] }

// Rate is how fast a bucket fills, and how much it holds.
type Rate struct {
	PerSec   float64 `yaml:"per_sec"`
	MaxBurst float64 `yaml:"max_burst"`
}

// Rates are the rates of some classes by name.
type Rates map[string]Rate

// defaults are generous to a busy person and to bots that announce builds: who reaches them is
// doing something else than talking to people.
var defaults = [classes]Rate{
	Read: {100, 1000}, Write: {30, 300}, Post: {20, 200}, Upload: {10, 200}, Picture: {1, 30}, Search: {10, 100},
	Login: {1, 30}, SignUp: {0.2, 20}, Socket: {1, 60}, Bytes: {8 << 20, 256 << 20},
}

// Check refuses names that are no class, and rates that let nothing through.
func (r Rates) Check() error {
	for _, name := range slices.Sorted(maps.Keys(r)) {
		switch v := r[name]; {
		case !slices.Contains(names[:], name):
			return fmt.Errorf("%q is no class; use %v", name, names)
		case !(v.PerSec > 0) || !(v.MaxBurst >= 1) || v.PerSec > 1e9 || v.MaxBurst/v.PerSec > 1e6:
			return fmt.Errorf("%s: per_sec is more than 0, max_burst at least 1, and a bucket is full again within a million seconds", name)
		}
	}
	return nil
}
