// Package command is the write vocabulary: one struct per intent, each with a number that is
// never reused, and their encoding as CBOR with integer keys. What stands here stands in the
// log for ever.
//
// A command says who asks (Caller) and what for. It never says when (the leader does) and
// never carries a secret: passwords and tokens come as hashes only.
//
// Invariants: numbers and keys are append-only; encoding is deterministic; a command that
// cannot be decoded stops the replica (core.KindUpgrade), it is never skipped.
package command
