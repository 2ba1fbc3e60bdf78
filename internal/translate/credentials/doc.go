// Package credentials makes Envoy's secrets of what the user's Gateways and
// DestinationRules name: Kubernetes Secrets and certificate files.
//
// A name goes in, and a checked tlsv3.Secret under the name that Istio's SDS
// has for it comes out, or an Error with what to do. A secret is whole or not
// there: a certificate that does not parse, or does not fit its key, gives
// none. The package does no I/O: files were read when the set was loaded. No
// error holds anything of a private key.
package credentials
