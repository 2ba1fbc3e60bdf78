//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// mostGrowth is how much more a process may hold at the end than when warm.
const mostGrowth = 1.2

// footprint is what a sundog holds.
type footprint struct {
	rss, heap   float64 // bytes
	goroutines  float64
	descriptors int
	ledger      ledger
}

// soakRow measures and reports what the proxy holds now.
func (b *bench) soakRow(ctx context.Context, s *soaking, when string) (footprint, error) {
	own, err := s.proxy.metrics(ctx)
	if err != nil {
		return footprint{}, err
	}
	book, err := s.proxy.ledger(ctx)
	if err != nil {
		return footprint{}, err
	}
	f := footprint{s.proxy.rss(), own["go_memstats_heap_inuse_bytes"], own["go_goroutines"], s.proxy.descriptors(), book}
	b.report.row(when, mib(f.rss), mib(f.heap), count(f.goroutines), strconv.Itoa(f.descriptors), book.String())
	return f, nil
}

// soakVerdicts compares the end with the warm proxy; all has the start, warm,
// under load, and the end.
func (b *bench) soakVerdicts(s *soaking, got summary, all []footprint) {
	warm, end := all[1], all[3]
	b.report.printf("\n")
	b.report.columns("what", "figure", "budget")
	b.report.row("requests answered, by h2load", got.codes, "")
	b.report.row("requests failed", strconv.Itoa(got.failed), none(got.failed))
	unbalanced := 0
	for _, f := range all {
		if !f.ledger.balances() {
			unbalanced++
		}
	}
	b.report.row("ledgers that do not balance, of "+strconv.Itoa(len(all)), strconv.Itoa(unbalanced), none(unbalanced))
	for _, held := range []struct {
		what      string
		warm, end float64
	}{
		{"RSS", warm.rss, end.rss},
		{"goroutines", warm.goroutines, end.goroutines},
		{"descriptors", float64(warm.descriptors), float64(end.descriptors)},
	} {
		r := held.end / held.warm
		b.report.row(held.what+", at the very end against warm", ratio(r), verdict(r, mostGrowth))
	}
	b.report.row("reloads; restarts of an upstream", fmt.Sprintf("%d; %d", s.reloads, s.restarts), "")
	b.report.row("requests/s; duration", fmt.Sprintf("%.0f; %v", got.perSecond, got.took), "")
}

func soakMarker(generation int) string { return fmt.Sprintf("marker-%d.example", generation) }

// soakYAML has the route that is under load, and one that tells generations
// apart. Its Gateway, services and mirrors stay the same.
func soakYAML(generation int) string {
	service := "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec:\n  selector: {app: %[1]s}\n  ports: [{name: http, port: 80}]\n"
	var s strings.Builder
	s.WriteString(gatewayYAML)
	for _, name := range []string{"well", "hung"} {
		fmt.Fprintf(&s, service, name)
	}
	fmt.Fprintf(&s, soakServices, generation)
	return s.String()
}

// soakServices retries more often than Istio's 2: another host is drawn at most
// five times, so some retries go to the upstream that is away again.
const soakServices = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: soak}
spec:
  hosts: ["127.0.0.1"]
  gateways: [bench]
  http:
  - route: [{destination: {host: app, port: {number: 80}}}]
    retries: {attempts: 2, retryOn: "connect-failure,refused-stream,reset"}
    mirrors:
    - destination: {host: well, port: {number: 80}}
    - destination: {host: hung, port: {number: 80}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: marker}
spec:
  hosts: [marker-%d.example]
  gateways: [bench]
  http:
  - route: [{destination: {host: app, port: {number: 80}}}]
    retries: {attempts: 2, retryOn: "connect-failure,refused-stream,reset"}
`
