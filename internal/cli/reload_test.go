package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/cli"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

const reloadGateway = `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
`

const reloadService = `---
apiVersion: v1
kind: Service
metadata: {name: s%[1]d}
spec: {ports: [{name: http, port: %[2]d}]}
`

const reloadRule = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: s%[1]d}
spec: {host: s%[1]d, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-%[2]d}}}, subsets: [{name: v1, labels: {version: v1}}]}
`

const reloadRoutes = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: s%[1]d}
spec:
  hosts: [s%[1]d, "s%[1]d.example"]
  gateways: [mesh, gw]
  http:
  - match: [{uri: {prefix: /%[2]d}}]
    route: [{destination: {host: s%[1]d, subset: v1}}]
    mirror: {host: s%[1]d}
    corsPolicy: {maxAge: 1s}
  - route: [{destination: {host: s%[1]d}}]
`

// reloadDocument is a text with its object's number and another one that may
// change.
type reloadDocument struct {
	text         string
	name, number int
}

var reloadTexts = []string{
	reloadService, reloadRule, reloadRoutes,
	`---
apiVersion: v1
kind: Endpoints
metadata: {name: s%[1]d}
subsets: [{addresses: [{ip: 10.0.0.%[2]d}], ports: [{name: http, port: 80}]}]
`, `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e%[1]d}
spec: {hosts: [e%[1]d.example], resolution: STATIC, ports: [{number: %[2]d, name: http, protocol: HTTP}], endpoints: [{address: 10.0.0.1}]}
`, `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root%[1]d}
spec:
  hosts: ["*.example"]
  gateways: [gw]
  http: [{delegate: {name: leaf%[2]d}}]
`, `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf%[2]d}
spec: {http: [{route: [{destination: {host: s%[1]d}}]}]}
`, `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a%[2]d}
spec: {hosts: [s%[1]d.example], gateways: [gw], http: [{route: [{destination: {host: e%[1]d.example}}]}]}
`, `---
apiVersion: sundog.dev/v1alpha1
kind: ShadowPolicy
metadata: {name: p%[1]d}
spec:
  targetRefs: [{group: networking.istio.io, kind: VirtualService, name: s%[1]d}]
  sample: {percent: %[2]d}
  compare: {baseline: {destination: {host: s%[1]d}}}
`, `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: h%[1]d}
spec:
  parentRefs: [{name: kube}, {group: "", kind: Service, name: s%[1]d}]
  hostnames: ["h.example", "h%[1]d.example"]
  rules:
  - name: one
    matches: [{path: {value: /%[2]d}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s%[1]d, port: 81}, percent: %[2]d}}]
    backendRefs: [{name: s%[1]d, port: %[2]d}]
`, `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: kube}
spec: {gatewayClassName: a, listeners: [{name: l%[1]d, port: %[2]d, protocol: HTTP, hostname: "*.example"}]}
`, `---
apiVersion: sundog.dev/v1alpha1
kind: ShadowPolicy
metadata: {name: q%[1]d}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: h%[1]d, sectionName: one}]
  sample: {percent: %[2]d}
`, `---
# %[1]d %[2]d: nothing that is read
kind: ConfigMap
apiVersion: v1
metadata: {name: a}
`,
}

// TestReloadIsLoad: after any edits a reload gives the same bytes and the same
// Problems as a program that starts now.
func TestReloadIsLoad(t *testing.T) {
	dir := t.TempDir()
	file, mesh := filepath.Join(dir, "in.yaml"), filepath.Join(dir, "mesh.yaml")
	args := []string{"-f", file, "--outbound", "127.0.0.1:15001", "--mesh-config", mesh}
	rapid.Check(t, func(t *rapid.T) {
		reload, err := cli.Loads(args...)
		if err != nil {
			t.Fatal(err)
		}
		var documents []reloadDocument
		for i := range 3 {
			for _, text := range reloadTexts[:12] {
				documents = append(documents, reloadDocument{text, i + 1, 80 + i})
			}
		}
		for range rapid.IntRange(2, 5).Draw(t, "loads") {
			for range rapid.IntRange(0, 2).Draw(t, "edits") {
				documents = edited(t, documents)
			}
			text := reloadGateway
			for _, d := range documents {
				text += fmt.Sprintf(d.text, d.name, d.number)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			attempts := rapid.IntRange(1, 2).Draw(t, "attempts")
			if err := os.WriteFile(mesh, fmt.Appendf(nil, "defaultHttpRetryPolicy: {attempts: %d}\n", attempts), 0o600); err != nil {
				t.Fatal(err)
			}
			start, err := cli.Loads(args...)
			if err != nil {
				t.Fatal(err)
			}
			want, wantVersion, wantProblems := start()
			got, version, problems := reload()
			if diff := cmp.Diff(wantProblems, problems); diff != "" {
				t.Fatalf("Problems (-at the start +after reloads):\n%s", diff)
			}
			if diff := cmp.Diff(snapshotBytes(want), snapshotBytes(got)); diff != "" || version != wantVersion {
				t.Fatalf("snapshots differ (-at the start +after reloads; versions %s and %s):\n%s", wantVersion, version, diff)
			}
		}
	})
}

// edited puts in a document, replaces one, changes its number, or moves it.
func edited(t *rapid.T, documents []reloadDocument) []reloadDocument {
	at := rapid.IntRange(0, len(documents)-1).Draw(t, "at")
	number := rapid.IntRange(80, 82).Draw(t, "number")
	fresh := reloadDocument{rapid.SampledFrom(reloadTexts).Draw(t, "text"), rapid.IntRange(1, 3).Draw(t, "name"), number}
	switch rapid.IntRange(0, 3).Draw(t, "edit") {
	case 0:
		return slices.Insert(documents, at, fresh)
	case 1:
		documents[at] = fresh
	case 2:
		documents[at].number = number
	default:
		to := rapid.IntRange(0, len(documents)-1).Draw(t, "to")
		documents[at], documents[to] = documents[to], documents[at]
	}
	return documents
}

func snapshotBytes(s *envoy.Snapshot) []string {
	var out []string
	add := func(m proto.Message) {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		out = append(out, fmt.Sprintf("%v %x", err, data))
	}
	for _, m := range s.Listeners {
		add(m)
	}
	for _, m := range s.Routes {
		add(m)
	}
	for _, m := range s.Clusters {
		add(m)
	}
	for _, m := range s.Endpoints {
		add(m)
	}
	return out
}

// reloads loads n services with routes, and applies them, again and again; one
// of their VirtualServices is another one each time.
func reloads(t testing.TB, n int) func() {
	dir := t.TempDir()
	file := filepath.Join(dir, "in.yaml")
	load, err := cli.Loads("-f", file, "--outbound", "", "--publish", "127.0.0.1:0:80", "--endpoint", "s0=127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Options{Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	generation := 0
	return func() {
		generation++
		var y strings.Builder
		y.WriteString(reloadGateway + fmt.Sprintf(reloadService, 0, 80))
		for i := range n {
			path := 0
			if i == n/2 {
				path = generation
			}
			fmt.Fprintf(&y, "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v%[1]d}\nspec:\n  hosts: [v%[1]d.example]\n"+
				"  gateways: [gw]\n  http:\n  - match: [{uri: {prefix: /%[2]d}}]\n    route: [{destination: {host: s0}}]\n", i, path)
		}
		if err := os.WriteFile(file, []byte(y.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, problems := load()
		if config.HasErrors(problems) {
			t.Fatal(problems)
		}
		if err := p.Apply(s); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReloadIsCheap: a reload allocates a small part of what the first load
// does, so the garbage collector hardly runs beside the event loops.
func TestReloadIsCheap(t *testing.T) {
	load := reloads(t, 2000)
	allocated := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		load()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	first := allocated()
	again := min(allocated(), allocated())
	t.Logf("the first load allocates %d KiB, a reload %d KiB", first>>10, again>>10)
	if again*6 > first {
		t.Errorf("the first load allocates %d KiB, a reload in which one of 2000 objects changed %d KiB", first>>10, again>>10)
	}
}
