package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/telemetry"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/translate"
)

// cluster is one cluster's proxy, as `sundog run` would start it.
type cluster struct {
	proxy    *proxy.Proxy
	snapshot *envoy.Snapshot
	log      *buffer // access log
	judge    *judge.Judge
	stop     func() error
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// setup is what a cluster is made of.
type setup struct {
	files     []config.File
	mesh      *config.File
	endpoints []string // as --endpoint
	outbound  string   // as --outbound
}

// translated turns the cluster's YAML into a snapshot, with everything that is
// wrong in it.
func (s setup) translated() (*envoy.Snapshot, []config.Problem) {
	set, problems := config.Parse(s.files, s.mesh, config.Options{Endpoints: s.endpoints})
	snapshot, more := translate.Translate(set, translate.Options{
		ClusterDomain: "cluster.local", Namespace: "default",
		Gateway:          map[string]string{"istio": "ingressgateway"},
		Publish:          []translate.Publish{{Host: "127.0.0.1", GatewayPort: 80}},
		Outbound:         s.outbound,
		ShadowHostSuffix: true,
		AccessLog:        "-",
	})
	return snapshot, append(problems, more...)
}

// start runs the cluster's proxy.
func (s setup) start(ctx context.Context) (*cluster, error) {
	snapshot, problems := s.translated()
	if config.HasErrors(problems) {
		return nil, fmt.Errorf("the configuration is not valid: %v", problems)
	}
	c := &cluster{snapshot: snapshot, log: &buffer{}, judge: judge.New(judge.Options{})}
	log := telemetry.NewAccessLog(telemetry.LogOptions{Shadows: true, Stdout: c.log})
	if err := log.Configure(snapshot); err != nil {
		return nil, err
	}
	var err error
	var unjudged error
	c.proxy, err = proxy.New(proxy.Options{
		Sink: traffic.Sinks{log, c.judge}, Logger: slog.New(slog.DiscardHandler),
		Comparing: func(routes []proxy.Compared) { unjudged = c.judge.Configure(judged(routes)) },
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	logCtx, endLog := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { defer endLog(); return c.proxy.Run(ctx) })
	g.Go(func() error { return log.Run(logCtx) })
	g.Go(func() error { return c.judge.Run(logCtx) })
	c.stop = func() error { cancel(); return g.Wait() }
	if err := errors.Join(c.proxy.Apply(snapshot), unjudged); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func judged(routes []proxy.Compared) (all []judge.Route) {
	for _, r := range routes {
		all = append(all, judge.Route{Key: r.RouteKey, Primary: r.Primary, Candidates: r.Candidates, Policy: r.Policy, RedactKey: r.RedactKey})
	}
	return all
}

// address is where a listener is bound.
func (c *cluster) address(listener string) string {
	for _, l := range c.proxy.Status().Listeners {
		if l.Name == listener {
			return l.Address.String()
		}
	}
	return ""
}
