// Package demo runs the two mirroring scenarios on one machine: real httpbin
// services, two clusters with a proxy each, the YAML of examples/, and real
// requests through the mesh and through the gateway. It shows what happened
// and checks it: a demo that shows the wrong thing fails.
package demo
