//go:build race

package tlsconn_test

const raced = true
