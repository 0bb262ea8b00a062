// Package blob moves large opaque bytes between nodes: an edge, or another home node, reads and
// stores blobs at home by name, over connections of class link.ClassBlob.
//
// A Client goes on at another home node, from the byte that it had reached, when the one that
// serves it dies in the middle; its reader does not notice. It prefers the nodes to which a
// connection is open, and Run keeps one open to the first candidate, so that nobody waits for
// a handshake. Client.At speaks with one home node about what that node has itself; the origin
// of a region is made of that.
//
// A Server answers from two stores: Whole, the origin that edges ask, which may itself ask
// other home nodes; and Own, the node's own disk, for home nodes only.
//
// What it is not: it does not hash. A name is 32 bytes; whether content and name belong
// together is for the stores at both ends. It keeps nothing.
//
// Concurrency: Client and Server are safe for concurrent use; a reader that Get gives belongs
// to one goroutine, but may be closed by any.
//
// Lifecycle: Server.Serve is the handler of link.ClassBlob. Client.Run returns when its ctx
// ends and closes the client's connections; a Client without Run is closed by Close.
//
// Invariants: lengths are exact. A reader gives as many bytes as were announced and then
// io.EOF, or another error; its last bytes are given only after the server has said that they
// were all. A Put is acknowledged only when the store has it. Every transfer that stops moving
// is ended, however long a moving one may take; a slow reader pays with a reconnect, nobody
// else does. The two stores have places of their own: a request at one home node may cause a
// direct one at another, and if both took the same places the nodes could wait for each other.
package blob
