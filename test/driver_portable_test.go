//go:build portable

package test

// buildTags are those of the tests; the binary under test has them, too.
const buildTags = "portable"
