package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/config"
)

type cost struct {
	cpu, gc  time.Duration
	alloc, n uint64
}

func spent() cost {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/allocs:objects"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(s)
	return cost{
		time.Duration(ru.Utime.Nano() + ru.Stime.Nano()),
		time.Duration((s[2].Value.Float64()) * 1e9),
		s[0].Value.Uint64(), s[1].Value.Uint64(),
	}
}

func (c cost) since(b cost) string {
	return fmt.Sprintf("cpu %v gc %v alloc %d MiB objects %d", (c.cpu - b.cpu).Round(time.Millisecond), (c.gc - b.gc).Round(time.Millisecond), (c.alloc-b.alloc)>>20, c.n-b.n)
}

func hosts(n int, marker string) string {
	var s strings.Builder
	s.WriteString("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: bench}\nspec:\n  selector: {istio: ingressgateway}\n  servers:\n  - port: {number: 80, name: http, protocol: HTTP}\n    hosts: [\"*\"]\n---\napiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec:\n  selector: {app: app}\n  ports: [{name: http, port: 80}]\n")
	for i := range n {
		fmt.Fprintf(&s, "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: host-%[1]d}\nspec:\n  hosts: [host-%[1]d.example]\n  gateways: [bench]\n  http:\n  - route: [{destination: {host: app, port: {number: 80}}}]\n", i)
	}
	fmt.Fprintf(&s, "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: %[1]s}\nspec:\n  hosts: [%[1]s.example]\n  gateways: [bench]\n  http:\n  - route: [{destination: {host: app, port: {number: 80}}}]\n", marker)
	return s.String()
}

func meshes(n int, marker string) string {
	var s strings.Builder
	s.WriteString("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: bench}\nspec:\n  selector: {istio: ingressgateway}\n  servers:\n  - port: {number: 80, name: http, protocol: HTTP}\n    hosts: [\"*\"]\n")
	for i := range n {
		text := "one"
		if i == n/2 {
			text = marker
		}
		fmt.Fprintf(&s, `---
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
  gateways: [mesh, bench]
  http:
  - match: [{uri: {prefix: /%[2]s}}]
    route: [{destination: {host: s%[1]d, subset: v1}}]
    mirror: {host: s%[1]d, subset: v1}
    mirrorPercentage: {value: 50}
  - route: [{destination: {host: s%[1]d}}]
`, i, text)
	}
	return s.String()
}

func TestCost(t *testing.T) {
	for name, text := range map[string]func(int, string) string{"hosts": hosts, "meshes": meshes} {
		if only := os.Getenv("COST"); only != "" && only != name {
			continue
		}
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "in.yaml")
			flags := configFlags{files: []string{file}, namespace: "default", clusterDomain: "cluster.local", gateway: labelsValue{"istio": "ingressgateway"}}
			if name == "meshes" {
				flags.outbound = "127.0.0.1:0"
			} else {
				flags.endpoints = []string{"app=127.0.0.1:9"}
			}
			if err := flags.publish.Set("127.0.0.1:0:80"); err != nil {
				t.Fatal(err)
			}
			src, err := flags.source("run", nil)
			if err != nil {
				t.Fatal(err)
			}
			srv, err := newServer(Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, serveFlags{concurrency: 1, shadowTimeout: time.Second, shadowBuffer: 1, shadowMaxRequests: 1, shadowMaxBytes: 1}, "")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go srv.proxy.Run(ctx)
			for i := range 4 {
				if err := os.WriteFile(file, []byte(text(10_000, fmt.Sprintf("marker-%d", i))), 0o600); err != nil {
					t.Fatal(err)
				}
				runtime.GC()
				a := spent()
				l := src.load()
				if config.HasErrors(l.problems) {
					t.Fatal(l.problems[0])
				}
				b := spent()
				v := l.snapshot.Version()
				c := spent()
				if err := srv.apply(l.snapshot); err != nil {
					t.Fatal(err)
				}
				d := spent()
				runtime.GC()
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				t.Logf("%d %s %d problems\n total %s\n load %s\n version %s\n apply %s\n live heap %d MiB", i, v, len(l.problems), d.since(a), b.since(a), c.since(b), d.since(c), m.HeapAlloc>>20)
			}
		})
	}
}
