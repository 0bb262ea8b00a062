// Package apitest is a world for tests of the API: a home that orders without Raft, edges over
// real replicas, and people who are their clients.
package apitest
