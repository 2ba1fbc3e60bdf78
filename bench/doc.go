// Command bench measures Sundog beside other proxies, in one run on one
// machine, and prints ratios: absolute times differ from machine to machine.
//
// Every proxy gets the same job, one thread, and the same load; runs of
// Sundog and of a peer alternate, and the figures are medians. CPU is the
// proxy process's own (user and system time from /proc), divided by the
// requests that were answered.
//
//	go run ./bench cpu     # CPU per request, plain and mirrored, beside nginx
//	go run ./bench harm    # what a broken shadow does to the primary's latency
//
// It needs nginx, wrk and h2load on the PATH.
package main
