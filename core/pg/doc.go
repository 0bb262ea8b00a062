// Package pg is the only one that speaks to PostgreSQL. It runs the node's own server, holds
// the pools, migrates the schemas and gives every query of core a shape that needs no driver:
// Query, QueryOne and Exec over a Queryer.
//
// It decides nothing: rules live in core/apply, permissions in core/authz.
//
// # Schemas
//
// "nearside" holds what the log makes and is the same on every replica; only applying entries
// and restoring a snapshot write it. "local" belongs to this node: its position and the
// migrations it has run. Clients' reads use the role nearside_reader, which can only select
// from the first: an edge that could write replicated tables would one day diverge.
//
// # The server
//
// A Server keeps its cluster in Dir/postgres, a directory that an unprivileged account owns
// when the node is started by root. PostgreSQL reaches it through an inherited directory
// handle, and we reach its socket the same way, so neither the modes of the directories above
// nor the length of their path matter on Linux. There is no TCP listener.
//
// # Concurrency and lifecycle
//
// DB and Server are safe for concurrent use. NewServer starts nothing; Run takes the lock of
// the directory, ends whatever an earlier node left running in it, starts PostgreSQL, starts
// it again whenever it dies, and returns after it has stopped. A DB outlives restarts of its
// server: queries fail meanwhile with errors for which IsUnavailable is true.
//
// # Invariants
//
// A statement that fills replicated tables calls no clock, no randomness and no sequence; a
// test scans for them. Migrations name no schema: search_path decides where they build.
package pg
