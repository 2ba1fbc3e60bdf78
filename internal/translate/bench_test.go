package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/translate"
)

// BenchmarkTranslate translates 10,000 services, each with a VirtualService
// that mirrors and a DestinationRule, as a mesh and as a gateway.
func BenchmarkTranslate(b *testing.B) {
	set := manyServices(b, 10_000)
	for _, bench := range []struct {
		name string
		opt  translate.Options
	}{
		{"mesh", translate.Options{Outbound: "127.0.0.1:15001"}},
		{"gateway", translate.Options{Gateway: map[string]string{"istio": "ingressgateway"}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s, problems := translate.Translate(set, bench.opt); config.HasErrors(problems) || len(s.Clusters) < 20_000 {
					b.Fatalf("%d clusters, %s", len(s.Clusters), problemText(problems))
				}
			}
		})
	}
}

func manyServices(b *testing.B, n int) *config.Set {
	b.Helper()
	var y strings.Builder
	y.WriteString(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
`)
	for i := range n {
		fmt.Fprintf(&y, `---
apiVersion: v1
kind: Service
metadata: {name: s%[1]d}
spec: {ports: [{name: http, port: 8000}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: s%[1]d}
subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{name: http, port: 80}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: s%[1]d}
spec: {host: s%[1]d, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: s%[1]d}
spec:
  hosts: [s%[1]d]
  gateways: [mesh, gw]
  http:
  - match: [{uri: {prefix: /headers}}]
    route: [{destination: {host: s%[1]d, subset: v1}}]
    mirror: {host: s%[1]d, subset: v1}
    mirrorPercentage: {value: 50}
  - route: [{destination: {host: s%[1]d}}]
`, i)
	}
	set, problems := config.Parse([]config.File{{Name: "in.yaml", Data: []byte(y.String())}}, nil, config.Options{})
	if config.HasErrors(problems) {
		b.Fatal(problemText(problems))
	}
	return set
}
