// Command bench measures Sundog beside nginx, Envoy, HAProxy and Caddy, in one
// run on one machine, and prints Markdown tables of ratios: absolute times
// differ from machine to machine.
//
// Every proxy gets the same job, one thread, the same headers to add and the
// same load. Runs of Sundog and of its peers alternate, and every figure is
// the median of several. CPU is the proxy's own, user and system time of the
// process and its children from /proc, divided by the requests that were
// answered. Latency is measured at a fixed rate below saturation. A budget
// stands beside its figure, met or missed.
//
//	go run ./bench                            # all parts, some 75 minutes
//	go run ./bench cpu tls                    # these parts only
//	go run ./bench -quick harm                # a small matrix, 4 minutes instead of 25
//	go run ./bench -quick compare             # memory after 50,000 compared exchanges, not a million
//	go run ./bench -requests 300000 soak      # half a minute instead of ten and more
//	go run ./bench -runs 1 -length 1s         # does it work at all?
//	go run ./bench -out docs/benchmarks.md    # write the parts into the page
//
// The page keeps what was written into it by hand, and the parts that were not
// measured now. Each part is written as soon as it is done. What one proxy
// cannot do, or breaks at, is told on stderr and in its row, and the others
// are measured all the same; the exit code is 1 then.
//
// Before it is measured, each proxy answers one request over the protocol in
// question: one that speaks another, or loses gRPC's trailers, is not measured.
//
// It needs Linux, and nginx, wrk and h2load on the PATH. HAProxy is taken from
// the PATH; Envoy is fetched into .cache, and Caddy built there of the modules
// that tools/caddy.mod pins, if they are not there. A peer that is missing is told, and so are its cells. Broken
// shadows and the upstream of gRPC are this program again, in processes of
// their own ("bench play"). All traffic stays on loopback.
package main
