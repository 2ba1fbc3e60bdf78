// Package examples holds the YAML of the two scenarios, for programs that
// show them.
package examples

import "embed"

// Files has in-cluster/ and cross-cluster/ as they are here.
//
//go:embed in-cluster cross-cluster
var Files embed.FS
