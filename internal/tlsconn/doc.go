// Package tlsconn secures the connections of package loop with crypto/tls, and
// makes what that takes of Envoy's TLS contexts.
//
// A Server or Client is compiled once from its proto, is immutable, and serves
// all loops. Its handshake runs in a task: crypto/tls reads through an adapter
// that parks the task where a socket would block. Afterwards the adapter never
// parks. It becomes the connection's loop.Layer, which the loop asks to open
// what has come and to seal what goes out, so the code above reads and writes
// the same as on a plain connection.
//
// Handshakes take turns, one for each turn of a loop, and slow private-key
// operations run off the loop, one at a time for each: a flood of handshakes
// slows handshakes. Only the task of the handshake touches a tls.Conn until it
// is over, then only the loop itself; so no lock of crypto/tls is ever waited
// for.
//
// The package never offers less than TLS 1.2, never renegotiates, and does no
// I/O but for reading the files that a context names, while it compiles it.
package tlsconn
