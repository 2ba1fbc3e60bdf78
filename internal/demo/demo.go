package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sundog-mesh/sundog/examples"
	"github.com/sundog-mesh/sundog/internal/admin"
	"github.com/sundog-mesh/sundog/internal/config"
)

// Options are the options of Run.
type Options struct {
	// Serve keeps everything running until the context ends.
	Serve bool
	// Out gets what is shown.
	Out io.Writer
}

// Run runs all scenarios, shows them, and returns an error if anything was
// not as it ought to be.
func Run(ctx context.Context, opt Options) error {
	s := &show{out: opt.Out}
	started := time.Now()
	w, err := build(ctx, s)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.inCluster(ctx, s); err != nil {
		return err
	}
	if err := w.crossCluster(ctx, s); err != nil {
		return err
	}
	w.route(s)
	w.ledger(s)
	c, err := startComparing(ctx)
	if err != nil {
		return fmt.Errorf("the shop: %w", err)
	}
	defer c.close()
	if err := c.compare(ctx, s); err != nil {
		return err
	}
	s.title("Result")
	if len(s.failures) > 0 {
		for _, f := range s.failures {
			s.line("not as it ought to be: %s", f)
		}
		return fmt.Errorf("demo: FAIL: %d of %d checks", len(s.failures), s.checks)
	}
	s.line("demo: PASS (%d checks, %.1f s)", s.checks, time.Since(started).Seconds())
	if opt.Serve {
		return w.serve(ctx, s)
	}
	return nil
}

// world is everything that runs.
type world struct {
	v1, mirroring, test *service
	a, b                *cluster
}

// build starts the services and both clusters.
func build(ctx context.Context, s *show) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for _, next := range []struct {
		to   **service
		name string
	}{{&w.v1, "v1 (cluster A)"}, {&w.mirroring, "v1-mirroring (cluster A)"}, {&w.test, "httpbin (cluster B)"}} {
		if *next.to, err = startService(ctx, next.name); err != nil {
			return nil, err
		}
	}
	clusterB := setup{files: files("cross-cluster/cluster-b.yaml"), endpoints: []string{fmt.Sprintf("httpbin=%s", w.test.addr)}}
	if w.b, err = clusterB.start(ctx); err != nil {
		return nil, fmt.Errorf("cluster B: %w", err)
	}
	gatewayB := w.b.address("0.0.0.0_80")
	clusterA := setup{
		files: files("in-cluster/httpbin.yaml", "in-cluster/mirroring.yaml", "cross-cluster/cluster-a.yaml"),
		mesh:  &files("cross-cluster/mesh-config.yaml")[0],
		endpoints: []string{
			fmt.Sprintf("httpbin/v1=%s", w.v1.addr),
			fmt.Sprintf("httpbin/v1-mirroring=%s", w.mirroring.addr),
		},
		outbound: "127.0.0.1:0",
	}
	s.title("The YAML, as it is")
	_, problems := clusterA.translated()
	s.line("examples/cross-cluster/cluster-a.yaml has a placeholder where the test cluster's address belongs. Sundog says so:")
	refused := false
	for _, p := range problems {
		if p.Severity == config.Error {
			s.line("  %v", p)
			refused = true
		}
	}
	s.check(refused, "the placeholder address was taken for an address")
	clusterA.files[2].Data = clusterBAt(clusterA.files[2].Data, gatewayB)
	if w.a, err = clusterA.start(ctx); err != nil {
		return nil, fmt.Errorf("cluster A: %w", err)
	}
	s.line("")
	s.line("cluster A  mesh %s, gateway %s, services v1 %s and v1-mirroring %s",
		w.a.address("virtualOutbound"), w.a.address("0.0.0.0_80"), w.v1.addr, w.mirroring.addr)
	s.line("cluster B  gateway %s, service httpbin %s", gatewayB, w.test.addr)
	return w, nil
}

// clusterBAt puts the address of B's gateway in place of the placeholder, with
// the port on which it is published here.
func clusterBAt(yaml []byte, gateway string) []byte {
	host, port, _ := net.SplitHostPort(gateway)
	return bytes.Replace(yaml, []byte("address: 47.95.xx.xx"), fmt.Appendf(nil, "address: %s\n    ports: {http: %s}", host, port), 1)
}

// files reads examples.
func files(names ...string) []config.File {
	var all []config.File
	for _, name := range names {
		data, err := examples.Files.ReadFile(name)
		if err != nil {
			panic("demo: internal error: " + err.Error())
		}
		all = append(all, config.File{Name: "examples/" + name, Data: data})
	}
	return all
}

func (w *world) close() {
	for _, c := range []*cluster{w.a, w.b} {
		if c != nil {
			_ = c.stop()
		}
	}
	for _, s := range []*service{w.v1, w.mirroring, w.test} {
		if s != nil {
			s.stop()
		}
	}
}

// serve stays up and tells what to try, with an admin interface for each
// cluster.
func (w *world) serve(ctx context.Context, s *show) error {
	s.title("Try it (Ctrl-C ends it)")
	s.line("http_proxy=http://%s curl http://httpbin:8000/headers", w.a.address("virtualOutbound"))
	s.line("curl http://%s/headers", w.a.address("0.0.0.0_80"))
	g, ctx := errgroup.WithContext(ctx)
	var lc net.ListenConfig
	for _, c := range []struct {
		name string
		*cluster
	}{{"A", w.a}, {"B", w.b}} {
		ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			g.Go(func() error { return err }) // ends the other one
			break
		}
		s.line("curl http://%s/ledger    cluster %s; also /clusters /config_dump /listeners /stats", ln.Addr(), c.name)
		g.Go(func() error {
			return admin.New(admin.NewState(c.proxy, time.Now()), c.proxy, admin.Options{Version: "demo"}).Run(ctx, ln)
		})
	}
	return g.Wait()
}
