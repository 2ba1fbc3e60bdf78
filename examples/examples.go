// Package examples holds the YAML of the scenarios, for programs that
// show them.
package examples

import "embed"

// Files has comparing/, cross-cluster/, gateway-api/ and in-cluster/ as they are here.
//
//go:embed in-cluster cross-cluster comparing gateway-api
var Files embed.FS
