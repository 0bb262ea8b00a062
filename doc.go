// Package nearside is the root of a self-hosted team-messaging server whose edges answer
// reads from their own PostgreSQL while one home region orders every write.
//
// Nothing is exported here. Start with ARCHITECTURE.md; the tests in this folder hold the
// import law, the package documentation and the SQL law.
package nearside
