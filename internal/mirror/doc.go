// Package mirror is the shadow side of the proxy: it decides which requests
// are copied, holds the copies within a budget, rewrites them, sends them, and
// keeps the ledger that says what became of each.
//
// A request's own task hands a copy its head and then each piece of its body;
// from there on the copy is a task of its own on the same loop, with its own
// buffer, connection and deadline. Nothing that a shadow does is ever waited
// for, and nothing of it reaches the client.
package mirror
