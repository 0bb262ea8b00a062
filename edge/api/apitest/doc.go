// Package apitest has a world for tests of the API: a home that orders without Raft, edges over
// real replicas, and clients.
package apitest
