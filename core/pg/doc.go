// Package pg is the only one that speaks to PostgreSQL. It runs the node's own server, holds the
// pools, migrates the schemas, and gives core functions for queries that hide the driver: Query,
// QueryOne and Exec over a Queryer.
//
// It decides nothing: rules live in core/apply, permissions in core/authz.
//
// # Schemas
//
// "nearside" holds what applying the log makes and is the same on every replica; only applying entries
// and restoring a snapshot write it. "local" belongs to this node: how far its state is durable, and
// the migrations that it has run. Clients' reads use the role nearside_reader, which can only select
// from the first: if an edge could write replicated tables, a bug could make it diverge.
//
// # The server
//
// A Server keeps its cluster in Dir/postgres, a directory that an unprivileged account owns
// when the node is started by root. On Linux, PostgreSQL reaches it through an inherited directory
// handle, and we reach its socket in the same way, so the permissions of the directories above and the
// length of their path do not matter. There is no TCP listener.
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
// A statement that writes replicated tables calls no clock, no random function and no sequence; a test
// looks for them. Migrations name no schema: search_path decides where they create tables.
package pg
