// Package telemetry writes what the proxy did where people and machines look
// for it: the access log, in Envoy's formats, and Prometheus metrics, under
// Envoy's names.
//
// AccessLog is a traffic.Sink. An exchange is formatted on the event loop that
// offers it, into a bounded buffer; Run, on a goroutine of its own, writes the
// buffers to their files. So a slow disk costs lines, which are counted, and
// never a request. Formats and paths come from the access loggers in an
// envoy.Snapshot, whoever made it.
//
// Collector reads the proxy's status when it is scraped and keeps nothing. The
// package never changes an exchange and decides nothing about traffic.
package telemetry
