// Package certtest makes the certificates of tests and measurements: an
// authority, what it signs, and certificates that sign themselves.
//
// Names, addresses and URIs go in; PEM, a pool or a tls.Certificate comes out.
// Nothing here returns an error: a template that cannot be signed is the
// caller's mistake, and panics.
//
// The package never touches a file or the network, and the proxy never imports
// it: its keys are worth nothing.
package certtest
