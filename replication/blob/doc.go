// Package blob moves large opaque bytes between nodes: an edge, or another home node, reads and
// stores blobs at home by name, over connections of class link.ClassBlob.
//
// If the home node that serves a read fails, the Client continues at another one, from the same
// byte; the reader does not notice. It prefers nodes to which a connection is open, and Run keeps
// one open to the first candidate, so that no request waits for a handshake. Client.At talks to
// one home node about that node's own disk; the origin of a region is built on it.
//
// A Server answers from two stores: Whole, the origin, for edges, which may ask other home nodes;
// and Own, the node's own disk, only for home nodes.
//
// What it is not: it does not hash. A name is 32 bytes; the stores at both ends check that
// content and name match. It stores nothing itself.
//
// Concurrency: Client and Server are safe for concurrent use. A reader returned by Get belongs to
// one goroutine, but any goroutine may close it.
//
// Lifecycle: Server.Serve is the handler of link.ClassBlob. Client.Run returns when its ctx ends,
// and closes the client's connections; a Client without Run is closed by Close.
//
// Invariants: lengths are exact. A reader returns as many bytes as were announced and then
// io.EOF, or another error; it returns the last bytes only after the server has confirmed the
// end. A Put is acknowledged only when the store has it. A transfer without progress is ended,
// but one with progress may take any time; a slow reader costs only itself a reconnect. Each of
// the two stores has its own limit of places: a request at one home node may cause a direct one
// at another, and with a common limit the nodes could wait for each other.
package blob
