// Package overload knows how near the process is to its limits: memory, CPU
// time, file descriptors and clients' connections.
//
// One goroutine samples them and keeps a Level, which the event loops read with
// one atomic load: first copies of requests are given up, then connections and
// requests are refused, so that the process never dies of what it was sent.
// What a limit or a use cannot be found out about is not watched.
//
// The package decides nothing by itself: who holds a Monitor asks it. It opens
// no sockets, and but for LimitHeap it changes nothing in the process.
package overload
