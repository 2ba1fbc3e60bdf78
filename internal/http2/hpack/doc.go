// Package hpack is the header compression of HTTP/2 (RFC 7541), and the rules
// of RFC 9113, sections 8.2 and 8.3, about what a header block may say.
//
// A Decoder turns the header blocks of one connection, each complete, into a
// traffic.Head: pseudo fields become its control data, the rest its fields.
// It tells apart what ends the connection (an *Error: the tables of the two
// sides may differ from here on) and what ends the stream (a *Malformed: the
// block was decoded to its end). The Append functions write a Head as a block;
// they use the static table only, so they keep no state and may be called in
// any order.
//
// The package does no I/O, starts no goroutine and, once its buffers have
// grown, allocates nothing. It makes no frames: internal/http2 does.
package hpack
