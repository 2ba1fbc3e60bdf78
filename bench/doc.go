// Command bench measures Sundog beside nginx, Envoy, HAProxy and Caddy, in one
// run on one machine, and prints Markdown tables of ratios: absolute times
// differ from machine to machine.
//
// Every proxy gets the same job, one thread, the same headers to add and the
// same load. Runs of Sundog and of its peers alternate, and every figure is
// the median of several. CPU is the proxy's own, user and system time of the
// process and its children from /proc, divided by the requests that were
// answered. Latency is measured at a fixed rate below saturation.
//
//	go run ./bench                            # all parts, some 20 minutes
//	go run ./bench cpu harm                   # these parts only
//	go run ./bench -runs 1 -length 1s         # does it work at all?
//	go run ./bench -out docs/benchmarks.md    # write the parts into the page
//
// The page keeps what was written into it by hand, and the parts that were not
// measured now.
//
// It needs Linux, and nginx, wrk and h2load on the PATH. HAProxy is taken from
// the PATH; Envoy, and with -caddy Caddy, are fetched into .cache if they are
// not there. A peer that is missing is told, and so are its cells.
// All traffic stays on loopback.
package main
