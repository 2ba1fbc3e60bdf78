// Package handover passes listening sockets from a running process to the one
// that replaces it, so that no connection is refused in between.
//
// The running process serves a Unix socket (Serve). Its successor asks there
// (Take), gets every socket with its address, begins to accept on them, and
// says so (Taken.Ready); then the running process learns that it was replaced,
// and drains. Both accept for a moment, which the kernel allows: the sockets
// are the same ones. If the successor ends before it is ready, nothing has
// changed. The package never looks at a connection.
package handover
