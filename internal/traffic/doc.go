// Package traffic holds the nouns of a request: the head of a message, the
// framing of its body, and the exchange that a request and its answers make.
//
// Everything that moves a request (http1, mirror, proxy) writes these types,
// and everything that looks at one (access log, compare, record) reads them.
// The package does no I/O and imports the standard library only.
package traffic
