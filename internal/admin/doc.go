// Package admin serves Sundog's admin interface over HTTP: what Envoy's shows,
// at Envoy's paths, by Envoy's methods and in Envoy's shapes, and the ledger.
//
// Each request reads the proxy's status once, through State, and prints it.
// The package keeps no numbers of its own, and but for POST /drain_listeners
// it changes nothing. It has no authentication, as Envoy's has none: it is
// meant for loopback.
package admin
