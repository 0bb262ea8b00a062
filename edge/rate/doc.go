// Package rate keeps token buckets, so that no account and no address can spend what belongs to
// all: sign-ups, logins, posts, uploads, pictures, searches, upgrades to sockets, bytes of answers.
//
// Each request has a Class and a Caller. Who has a session spends from the account's bucket, and
// from one that all signed-in callers of an address share, which is Neighbours times as large. Who
// has none spends from the bucket of strangers at the address. So strangers cannot lock out those
// who are signed in, not even from the same address. A login spends from the bucket of strangers
// too, unless the same login has succeeded from the same address before: then it has a bucket of
// its own. A sign-up always spends from the bucket of strangers.
//
// The buckets belong to this edge and are kept in memory, the least recently used are forgotten.
// An IPv6 address counts by its /64, which is what one customer gets.
//
// A Limiter is safe for concurrent use and starts nothing.
package rate
