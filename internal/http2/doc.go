// Package http2 is HTTP/2 on the wire (RFC 9113): one side of a connection as
// a state machine, for servers and for clients.
//
// A Conn is fed with the bytes that were read and appends frames to an Output.
// Each exchange is a Stream: its heads and its payload are taken from it, and
// given to it, by whoever is told of its events through a Waker. What the
// peer's windows or the connection's backlog forbid to send waits in the
// stream; what was received and not consumed waits there too, bounded by our
// own windows, whose credit goes back as the payload is consumed.
//
// One task reads the connection:
//
//	for {
//		if !c.Congested() {
//			used, err := c.Feed(input) // on an error: flush the output, close
//		}
//		err = c.Late() // and again by c.Deadline()
//		read more
//		c.Flush() // also after the output has been written
//	}
//
// and calls Abandon when the connection is lost. All tasks of a connection run
// on one goroutine. The package does no I/O, starts no goroutine, takes no
// lock and, once its buffers have grown, allocates nothing for a stream.
//
// What a peer may make it keep or do is bounded: see Options and limits.go.
package http2
